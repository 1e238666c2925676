//! Key files in the data folder: read, or made once and kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::platform::atomic_file::{folder as folder_of, put_in_place};

/// A key out of a file holds this many random bytes.
pub const KEY_LENGTH: usize = 32;

/// What the names of files end with that are not finished yet. One that is left over was cut off by a crash.
pub const DRAFT_ENDING: &str = ".new";

/// Longer than any key file; what is longer is something else.
const LONGEST_FILE: u64 = 256 * 1024;

/// A key out of the data folder.
pub struct StoredKey {
    /// The key as it stands in the file: base64url, without the line's end.
    pub text: String,
    /// The key's bytes.
    pub bytes: [u8; KEY_LENGTH],
    /// Whether this call made the file.
    pub created: bool,
}

/// Why a key cannot be had. The key itself appears nowhere in here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The folder or the file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("{path} can be used by group or others (mode {mode:04o}); if it has been private so far, `chmod 600` it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else than a key.
    #[error("{path} is not a key file: one line of base64url for 32 bytes")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else than what should be put there.
    #[error("{path} is another key than the one in the backup: move it away first")]
    Another {
        /// The file.
        path: PathBuf,
    },
    /// The system has no random numbers to give.
    #[error("cannot draw random bytes")]
    Randomness(#[source] getrandom::Error),
}

/// Makes the data folder, for its owner only, unless it is there. An existing folder is left as it is.
pub fn create_data_folder(folder: &Path) -> Result<(), KeyError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(at(folder))
}

/// Reads the key in `file`, or draws one and keeps it there with mode 0600. Two callers at once get the same key.
pub fn read_or_create(file: &Path) -> Result<StoredKey, KeyError> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let folder = folder_of(file);
    create_data_folder(folder)?;
    let mut bytes = [0; KEY_LENGTH];
    getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    if write_new(folder, file, &text).map_err(at(file))? {
        return Ok(StoredKey { text, bytes, created: true });
    }
    // Another process was first; its key is the key.
    read(file)?.ok_or_else(|| at(file)(io::ErrorKind::NotFound.into()))
}

/// The key in `file`; none when there is no such file.
pub fn read(file: &Path) -> Result<Option<StoredKey>, KeyError> {
    let Some(content) = read_private(file)? else { return Ok(None) };
    let text = content.trim_end().to_owned();
    let malformed = || KeyError::Malformed { path: file.to_owned() };
    let bytes = URL_SAFE_NO_PAD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)?;
    Ok(Some(StoredKey { text, bytes, created: false }))
}

/// A file that nobody but its owner may use; none when there is no such file.
pub fn read_private(file: &Path) -> Result<Option<String>, KeyError> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(file))?,
    };
    // Asked of the open file, so that what is checked is what is read.
    let mode = permission_bits(&opened.metadata().map_err(at(file))?);
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: file.to_owned(), mode });
    }
    let mut content = Vec::new();
    opened.take(LONGEST_FILE).read_to_end(&mut content).map_err(at(file))?;
    String::from_utf8(content).map(Some).map_err(|_| KeyError::Malformed { path: file.to_owned() })
}

/// Puts `text` into `file`, for its owner only, in place of whatever is there. Whoever reads it sees the one or the other, whole.
pub fn replace(file: &Path, text: &str) -> Result<(), KeyError> {
    let folder = folder_of(file);
    create_data_folder(folder)?;
    let draft = draft(folder, text).map_err(at(file))?;
    let replaced = fs::rename(&draft, file).and_then(|()| settle(folder));
    if replaced.is_err() {
        // A draft that stays would be a key that nobody looks after.
        let _ = fs::remove_file(&draft);
    }
    replaced.map_err(at(file))
}

/// Puts back what was kept elsewhere of a key file, with mode 0600. The same may be there already; anything else is not replaced.
pub fn put_back(file: &Path, text: &str) -> Result<(), KeyError> {
    write_new(folder_of(file), file, text).map_err(at(file))?;
    may_put_back(file, text)
}

/// Whether nothing else than this is in `file`.
pub fn may_put_back(file: &Path, text: &str) -> Result<(), KeyError> {
    match read_private(file)? {
        Some(content) if content.trim_end() != text => Err(KeyError::Another { path: file.to_owned() }),
        _ => Ok(()),
    }
}

/// Puts `text` into `file` whole or not at all; false when the file is there already.
fn write_new(folder: &Path, file: &Path, text: &str) -> io::Result<bool> {
    let draft = draft(folder, text)?;
    let written = put_in_place(&draft, file);
    // After a rename there is no draft left to remove.
    let _ = fs::remove_file(&draft);
    let created = written?;
    settle(folder)?;
    Ok(created)
}

/// A new file beside, with mode 0600, on the disk.
fn draft(folder: &Path, text: &str) -> io::Result<PathBuf> {
    let draft = folder.join(format!(".{}{DRAFT_ENDING}", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(&draft)?;
    let written = writeln!(opened, "{text}").and_then(|()| opened.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    Ok(draft)
}

/// What a folder holds is on the disk, too.
fn settle(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Who may do what with a file.
#[cfg(unix)]
pub fn permission_bits(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
}

/// Who may do what with a file cannot be told.
#[cfg(not(unix))]
pub fn permission_bits(_: &fs::Metadata) -> u32 {
    0o600
}

fn at(path: &Path) -> impl Fn(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path: path.clone(), source }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        permission_bits(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_key_is_made_once_and_then_read() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("data").join("instance.key");
        let made = read_or_create(&file).unwrap();
        let again = read_or_create(&file).unwrap();
        assert!(made.created && !again.created);
        assert_eq!((made.bytes, made.text), (again.bytes, again.text));
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn callers_that_race_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instance.key");
        let made: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| read_or_create(&file).unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|key| key.created).count(), 1);
        assert!(made.iter().all(|key| key.bytes == made[0].bytes));
    }

    #[test]
    fn a_key_that_others_can_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instance.key");
        read_or_create(&file).unwrap();
        for exposed in [0o640, 0o604, 0o620, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(exposed)).unwrap();
            assert!(matches!(read_or_create(&file), Err(KeyError::Exposed { mode, .. }) if mode == exposed));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instance.key");
        for content in ["", "short", &"a".repeat(9000), "not base64url at all, but as long as one..."] {
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read_or_create(&file), Err(KeyError::Malformed { .. })));
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }
}
