//! What SQLite does not say: that a write-ahead log is damaged in its middle.
//!
//! SQLite reads a write-ahead log up to the first frame whose checksum is wrong and drops the rest without a word, because a
//! power cut leaves such an end. Here everything was synchronised before it was answered, so only what a last transaction left
//! may be missing; commits behind the damage were answered. <https://www.sqlite.org/fileformat2.html#walformat>

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::schema::OpenError;
use crate::platform::atomic_file::with_ending;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The first four bytes; the last bit says that checksums are of big-endian numbers.
const MAGIC: u32 = 0x377f_0682;

/// A log's write-ahead log is damaged, and what was answered stands behind the damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at byte {at}, and {commits} commits behind that would be lost: restore a backup, or, to go on without them, keep copies of \
     both files, cut the damaged one off there (truncate -s {at} {}) and run `gatebook rebuild`", .path.display(), .path.display()
)]
pub struct DamagedWal {
    /// The write-ahead log's file.
    pub path: PathBuf,
    /// Where what is good of it ends, in bytes.
    pub at: u64,
    /// How many commits stand behind that.
    pub commits: u64,
}

/// Looks through the write-ahead log of the database at `path`, which nobody may be writing to.
pub fn inspect(path: &Path) -> Result<(), OpenError> {
    let path = with_ending(path, "-wal");
    let mut file = match File::open(&path) {
        Ok(file) => BufReader::with_capacity(1 << 20, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut header = [0; HEADER];
    if !fill(&mut file, &mut header)? {
        return Ok(());
    }
    let [magic, _, page_size, _, salt_1, salt_2, sum_1, sum_2] = words(&header);
    let big = magic == MAGIC | 1;
    let mut sum = checksum(big, (0, 0), header.get(..HEADER - 8).unwrap_or_default());
    let whole = magic | 1 == MAGIC | 1 && sum == (sum_1, sum_2);
    // Where the header is damaged, the page size that every log here has, and the salts that its frames agree on.
    let page = if whole { page_size as usize } else { 8192 };
    if !(512..=65_536).contains(&page) {
        return Ok(());
    }
    let mut salts = whole.then_some((salt_1, salt_2));
    let (mut good, mut at, mut commits) = (if whole { HEADER as u64 } else { 0 }, HEADER as u64, 0);
    // The end of one transaction that was not yet synchronised may have reached the disk before its middle.
    let mut excused = u64::from(whole);
    let mut sound = whole;
    let mut frame = vec![0; FRAME_HEADER + page];
    while fill(&mut file, &mut frame)? {
        let (head, content) = frame.split_at(FRAME_HEADER);
        let [number, size_after, frame_salt_1, frame_salt_2, sum_1, sum_2] = words(head);
        let same = *salts.get_or_insert((frame_salt_1, frame_salt_2)) == (frame_salt_1, frame_salt_2);
        if sound {
            sum = checksum(big, checksum(big, sum, head.get(..8).unwrap_or_default()), content);
            let continues = number != 0 && sum == (sum_1, sum_2);
            sound = same && continues;
            if continues && !same {
                // No frame of an older generation would go on from here; salts are outside the checksum.
                (excused, commits) = (0, u64::from(size_after != 0));
            }
        }
        at += frame.len() as u64;
        if sound {
            good = at;
        } else if same && number != 0 && size_after != 0 {
            commits += 1;
        }
    }
    if commits > excused { Err(DamagedWal { path, at: good, commits }.into()) } else { Ok(()) }
}

/// False at the end of the file. A frame that is cut off was never synchronised.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Big-endian numbers, as all of a write-ahead log's own are.
fn words<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    let mut words = [0; COUNT];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

fn checksum(big: bool, start: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let number = |bytes: &[u8; 4]| if big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
    let pairs = bytes.as_chunks::<8>().0;
    pairs.iter().fold(start, |(first, second), pair| {
        let [a, b] = pair.as_chunks::<4>().0 else { return (first, second) };
        let first = first.wrapping_add(number(a)).wrapping_add(second);
        (first, second.wrapping_add(number(b)).wrapping_add(first))
    })
}
