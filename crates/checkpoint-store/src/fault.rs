//! What can be wrong with an archive that is to be taken in.

/// Why an archive is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// It does not begin as gzip does.
    #[error("it is not compressed with gzip")]
    NotGzip,
    /// There is no end.
    #[error("it ends before its end")]
    Truncated,
    /// It does not fit its checksum, or cannot be decompressed.
    #[error("its compressed bytes are damaged")]
    Damaged,
    /// It ends, and goes on.
    #[error("there is something behind its end")]
    BehindTheEnd,
    /// A header that no tar wrote.
    #[error("what follows is not a header of tar")]
    Header,
    /// A number is one that no file has.
    #[error("a number in its header is out of range")]
    Number,
    /// A record of the PAX format that is none.
    #[error("what is said of it in PAX records is malformed")]
    Record,
    /// A name that is given in two forms, of which programs choose one or the other, or to nothing.
    #[error("something is said of an entry twice, or of one that is not there")]
    Description,
    /// A long name or PAX records that are longer than any file's.
    #[error("a long name, or PAX records, are longer than any file's")]
    DescriptionTooLong,
    /// It would be made wherever it says.
    #[error("its path is absolute")]
    Absolute,
    /// It would lead out of its folder.
    #[error("there is `..` in its path")]
    Parent,
    /// A name of nothing.
    #[error("a name in its path is empty, or `.`")]
    EmptyName,
    /// A name that no file can have.
    #[error("there is a zero byte in its path")]
    ZeroByte,
    /// A name that no file system takes.
    #[error("a name in its path is longer than 255 bytes")]
    NameTooLong,
    /// A path that the system does not take.
    #[error("its path is longer than 4095 bytes")]
    PathTooLong,
    /// A device, which no sandbox can make.
    #[error("it is a device")]
    Device,
    /// Something that Armor does not know.
    #[error("it is of a type that Armor does not know (`{}`)", char::from(*.0).escape_default())]
    UnknownType(u8),
    /// Something that has no content has some.
    #[error("it has content, which nothing but a file has")]
    Content,
    /// A hard link whose file is not there.
    #[error("it is a hard link to something that is not before it in the archive")]
    LinkToNothing,
    /// A hard link to what can have no other name.
    #[error("it is a hard link to a folder")]
    LinkToFolder,
    /// A hard link out of its tree.
    #[error("it is a hard link to something outside of its tree")]
    LinkOutside,
    /// A symbolic link to what no system takes.
    #[error("it is a link to a path that is empty, longer than 4095 bytes, or has a zero byte")]
    LinkTarget,
    /// Something would be made through a link, or in a file.
    #[error("it lies below something that is not a folder")]
    NotInFolder,
    /// Two entries say different things of one path.
    #[error("another entry of the archive has the same path")]
    Duplicate,
    /// An extended attribute that no file can have.
    #[error("it has an extended attribute that is longer than any can be")]
    Attribute,
    /// The list of a sparse file's parts makes no sense.
    #[error("the list of its parts that are stored does not fit it")]
    SparseMap,
    /// A form of sparse files that is rare.
    #[error("it is a sparse file in a form that Armor does not read")]
    SparseForm,
    /// More than was allowed.
    #[error("there are more than {0} files, folders and headers")]
    TooManyEntries(u64),
    /// More than was allowed.
    #[error("there are more than {0} bytes in the files")]
    TooManyBytes(u64),
    /// Names, attributes and lists of parts that would not fit in memory.
    #[error("its names, attributes and lists of parts are more than any tree has")]
    TooMuchDescribed,
    /// The file that says what an exported checkpoint is cannot be read.
    #[error("it does not say what an exported checkpoint is")]
    About,
    /// It was written by a newer Armor.
    #[error("it has the format {0}, which this Armor does not know")]
    Format(u32),
    /// Something that belongs to no tree of the checkpoint.
    #[error("it belongs to none of the trees that the archive says it has")]
    NoSuchTree,
    /// A tree of the checkpoint is not there.
    #[error("the archive says it has this tree, and does not have it")]
    TreeMissing,
}

impl ArchiveFault {
    /// What to do next.
    pub(crate) const fn next_step(self) -> &'static str {
        match self {
            Self::NotGzip => "Give a tar archive that is compressed with gzip (`tar -czf`).",
            Self::Truncated | Self::Damaged | Self::BehindTheEnd | Self::TreeMissing => {
                "Copy or download the archive again; `gzip -t` says whether it is whole."
            }
            Self::TooManyEntries(_) | Self::TooManyBytes(_) | Self::TooMuchDescribed => {
                "Take in a part of it, or allow more if you trust where it comes from."
            }
            Self::Format(_) => "Take it in with the Armor that wrote it, or a newer one.",
            Self::SparseForm => "Make the archive again without `--sparse`.",
            _ => {
                "Make the archive again without this entry. If others gave it to you, ask why it is there."
            }
        }
    }
}
