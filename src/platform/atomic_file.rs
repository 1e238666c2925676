//! A file that is written beside its place and put there whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What a draft's name ends with. One that is left over was cut off by a crash and is worth nothing.
pub const ENDING: &str = ".partial";

/// A file that is not finished, for its owner only. It is removed when it is dropped.
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    path: PathBuf,
    /// Locked, so that nobody takes what somebody is writing for a leftover.
    file: File,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Something has its name already.
    #[error("{} is there already and is never overwritten", .0.display())]
    Taken(PathBuf),
    /// Somebody else is writing it.
    #[error("{} is being written by another gatebook", .0.display())]
    UnderWay(PathBuf),
    /// The file system said no.
    #[error("{} cannot be written", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

impl Draft {
    /// Begins a file. What an earlier try left beside its place is removed.
    pub fn begin(place: &Path) -> Result<Self, DraftError> {
        let path = with_ending(place, ENDING);
        let io = |source| DraftError::Io { path: path.clone(), source };
        // Removed rather than written over: a crash may have left a finished file both of its names.
        if let Ok(leftover) = File::open(&path) {
            lock(&leftover, place, io)?;
            fs::remove_file(&path).map_err(io)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(io)?;
        lock(&file, place, io)?;
        Ok(Self { place: place.to_owned(), path, file })
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what was written in its place, where it outlives a power cut. Nothing that is there is overwritten.
    pub fn finish(self) -> Result<(), DraftError> {
        let io = |source| DraftError::Io { path: self.place.clone(), source };
        self.file.sync_all().map_err(io)?;
        if !put_in_place(&self.path, &self.place).map_err(io)? {
            return Err(DraftError::Taken(self.place.clone()));
        }
        #[cfg(unix)]
        File::open(folder(&self.place)).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives a finished file its name, unless something has it; false then.
pub fn put_in_place(draft: &Path, place: &Path) -> io::Result<bool> {
    // A link refuses to replace a file, as a rename would not.
    match fs::hard_link(draft, place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Some file systems have no links; a rename is as whole, and only its race is lost.
        Err(_) if !place.exists() => fs::rename(draft, place).map(|()| true),
        Err(error) => Err(error),
    }
}

/// The folder that a file is in.
pub fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name with something behind it.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn lock(file: &File, place: &Path, io: impl Fn(io::Error) -> DraftError) -> Result<(), DraftError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DraftError::UnderWay(place.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_once_it_is_finished_and_never_before() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        let draft = Draft::begin(&place).unwrap();
        fs::write(draft.path(), "half").unwrap();
        assert!(matches!(Draft::begin(&place), Err(DraftError::UnderWay(at)) if at == place));
        drop(draft);
        assert!(names(folder.path()).is_empty(), "what is given up leaves nothing");

        let draft = Draft::begin(&place).unwrap();
        fs::write(draft.path(), "whole").unwrap();
        draft.finish().unwrap();
        assert_eq!((names(folder.path()), fs::read_to_string(&place).unwrap()), (vec!["file".to_owned()], "whole".to_owned()));

        let draft = Draft::begin(&place).unwrap();
        assert!(matches!(draft.finish(), Err(DraftError::Taken(at)) if at == place));
        assert_eq!(fs::read_to_string(&place).unwrap(), "whole");
    }

    #[test]
    fn what_a_crash_left_is_written_anew_and_a_finished_file_that_kept_both_names_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (place, moved) = (folder.path().join("file"), folder.path().join("moved"));
        fs::write(&moved, "finished").unwrap();
        fs::hard_link(&moved, with_ending(&place, ENDING)).unwrap();
        let draft = Draft::begin(&place).unwrap();
        fs::write(draft.path(), "anew").unwrap();
        draft.finish().unwrap();
        assert_eq!((fs::read_to_string(&moved).unwrap(), fs::read_to_string(&place).unwrap()), ("finished".to_owned(), "anew".to_owned()));
    }
}
