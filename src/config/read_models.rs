//! Read models: what becomes of the files of other versions.

/// What becomes of the files of a projection's other versions once this one serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherVersions {
    /// They are removed.
    #[default]
    Removed,
    /// They stay, so that the build that made them starts at once.
    Kept,
}
