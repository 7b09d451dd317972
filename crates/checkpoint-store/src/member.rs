//! Reading a tar archive: one member after the other, each with all that the headers before it say of
//! it, in the forms that are in use: ustar, GNU's long names and sparse files, PAX records.
//!
//! The reader of the crate `tar` is not used, but its headers are. It reads a long name of any length
//! into memory, and takes a record whose value has a line feed for none, so that a file gets another
//! name than it had. Here every archive is read in one way or not at all: what programs read in different
//! ways (a name that is said twice, content where none can be) is refused.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use crate::error::StoreError;
use crate::fault::ArchiveFault;
use crate::limits::Budget;
use crate::pack::LARGEST;
use crate::pax::{self, Record};
use crate::tree::{Meta, Moment};

const BLOCK: u64 = 512;
/// The longest name or target, in bytes. No system takes one of a tenth of that.
const LONG_NAME: u64 = 64 << 10;
/// The longest list of records, in bytes: more than the attributes of a file can be in a checkpoint.
const RECORDS: u64 = LARGEST as u64 + (1 << 20);
/// Zeros behind the end, in bytes. Programs fill up the last record of a tape.
const PADDING: u64 = 16 << 20;
/// What Linux lets an attribute's name be, all names of a file, and a value, in bytes.
const ATTRIBUTE_NAME: usize = 255;
const ATTRIBUTE_NAMES: usize = 64 << 10;
const ATTRIBUTE: usize = 64 << 10;

/// Why an archive cannot be read on.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It is not as it has to be.
    Fault(ArchiveFault),
    /// What it comes from, or is decompressed by, failed.
    Read(io::Error),
    /// The store could not take it.
    Store(StoreError),
}

impl From<ArchiveFault> for Broken {
    fn from(fault: ArchiveFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Something in an archive.
#[derive(Debug)]
pub(crate) struct Member {
    /// As it stands there.
    pub(crate) path: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) what: What,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum What {
    /// Its content is to be read before the next member.
    File {
        size: u64,
        /// Where what follows belongs, in order: from which byte on, how many. All else is holes.
        parts: Vec<(u64, u64)>,
    },
    Folder,
    Link {
        target: Vec<u8>,
    },
    /// Another name of what has been there before.
    HardLink {
        target: Vec<u8>,
    },
    Fifo,
}

/// An archive that is being read.
#[derive(Debug)]
pub(crate) struct Members<R> {
    from: R,
    /// Of the content of the last header, and what it is filled up with.
    left: u64,
    padding: u64,
    /// The path of the last member, for errors; none behind the end.
    pub(crate) at: Vec<u8>,
}

/// What headers said of the next member.
#[derive(Debug, Default)]
struct Described {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: Option<Vec<u8>>,
}

/// What records say of a member.
#[derive(Debug, Default)]
struct Records {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<Moment>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse: Option<Sparse>,
}

/// A sparse file in GNU's form 1.0 of PAX: the list of its parts stands before them in its content.
#[derive(Debug, Default)]
struct Sparse {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Members<R> {
    pub(crate) const fn new(from: R) -> Self {
        Self { from, left: 0, padding: 0, at: Vec::new() }
    }

    /// The next member. None when the archive has come to its end, and there is nothing behind it.
    pub(crate) fn next(&mut self, budget: &mut Budget) -> Result<Option<Member>, Broken> {
        self.skip(self.left.saturating_add(self.padding))?;
        (self.left, self.padding) = (0, 0);
        let mut described = Described::default();
        loop {
            let Some(header) = self.header()? else {
                let is_said_of_none = described.name.is_some()
                    || described.target.is_some()
                    || described.records.is_some();
                return if is_said_of_none {
                    Err(ArchiveFault::Description.into())
                } else {
                    Ok(None)
                };
            };
            budget.entry()?;
            let place = match header.as_old().linkflag[0] {
                b'L' => (&mut described.name, LONG_NAME),
                b'K' => (&mut described.target, LONG_NAME),
                b'x' => (&mut described.records, RECORDS),
                // Of all members that follow: git says there which commit it is.
                b'g' => {
                    self.description(&header, RECORDS, budget)?;
                    continue;
                }
                _ => return self.member(&header, &described, budget).map(Some),
            };
            let (place, longest) = place;
            if place.replace(self.description(&header, longest, budget)?).is_some() {
                return Err(ArchiveFault::Description.into());
            }
        }
    }

    /// None for the end.
    fn header(&mut self) -> Result<Option<Header>, Broken> {
        let mut header = Header::new_old();
        self.from.read_exact(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.at.clear();
            self.end()?;
            return Ok(None);
        }
        let checksum = &header.as_old().cksum;
        let others = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum::<u32>()
            - checksum.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        // The checksum itself counts as spaces.
        let sum = others + 8 * u32::from(b' ');
        if header.cksum().ok() == Some(sum) {
            Ok(Some(header))
        } else {
            Err(ArchiveFault::Header.into())
        }
    }

    /// Sees to it that nothing is behind the end. Only so is the checksum of the whole looked at.
    fn end(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 4096];
        let mut behind = 0;
        loop {
            let came = match self.from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                came => came?,
            };
            behind += came as u64;
            if behind > PADDING || buffer[..came].iter().any(|byte| *byte != 0) {
                return Err(ArchiveFault::BehindTheEnd.into());
            }
        }
    }

    /// Reads a long name, or records.
    fn description(
        &mut self,
        header: &Header,
        longest: u64,
        budget: &mut Budget,
    ) -> Result<Vec<u8>, Broken> {
        let size = header.entry_size().map_err(|_| ArchiveFault::Number)?;
        if size > longest {
            return Err(ArchiveFault::DescriptionTooLong.into());
        }
        budget.bytes(size)?;
        let mut text = Vec::new();
        (&mut self.from).take(size).read_to_end(&mut text)?;
        if text.len() as u64 != size {
            return Err(ArchiveFault::Truncated.into());
        }
        self.skip(padding(size))?;
        Ok(text)
    }

    fn member(
        &mut self,
        header: &Header,
        described: &Described,
        budget: &mut Budget,
    ) -> Result<Member, Broken> {
        header.path_bytes().as_ref().clone_into(&mut self.at);
        if let Some(name) = &described.name {
            without_zeros(name).clone_into(&mut self.at);
        }
        let records = described.records.as_deref().map(Records::read).transpose()?;
        let records = records.unwrap_or_default();
        let says_twice = described.name.is_some() && records.path.is_some()
            || described.target.is_some() && records.target.is_some();
        if says_twice {
            return Err(ArchiveFault::Description.into());
        }
        if let Some(path) = records.path {
            self.at = path;
        }
        let number = |said: Option<u64>, header: io::Result<u64>| {
            said.or(header.ok()).ok_or(ArchiveFault::Number)
        };
        let id =
            |said, header| u32::try_from(number(said, header)?).map_err(|_| ArchiveFault::Number);
        let mode = header.mode().map_err(|_| ArchiveFault::Number)? & 0o7777;
        let meta = Meta {
            mode: u16::try_from(mode).map_err(|_| ArchiveFault::Number)?,
            uid: id(records.uid, header.uid())?,
            gid: id(records.gid, header.gid())?,
            mtime: match records.mtime {
                Some(mtime) => mtime,
                // What is behind 2^63 was negative.
                None => Moment {
                    seconds: header.mtime().map_err(|_| ArchiveFault::Number)?.cast_signed(),
                    nanos: 0,
                },
            },
            xattrs: records.xattrs.into_iter().collect(),
        };
        let size = number(records.size, header.entry_size())?;
        let target = || -> Vec<u8> {
            let said = described.target.as_deref().map(without_zeros);
            let said = said.or(records.target.as_deref()).map(<[u8]>::to_vec);
            said.unwrap_or_else(|| {
                header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default()
            })
        };
        // Before PAX, a folder was a file whose name ends so.
        let is_folder = self.at.ends_with(b"/");
        let what = match header.as_old().linkflag[0] {
            b'0' | 0 | b'7' if !is_folder => return self.file(meta, size, records.sparse, budget),
            b'S' => return self.gnu_sparse(header, meta, size, budget),
            b'5' | b'0' | 0 => What::Folder,
            b'1' => What::HardLink { target: target() },
            b'2' => What::Link { target: target() },
            b'6' => What::Fifo,
            b'3' | b'4' => return Err(ArchiveFault::Device.into()),
            other => return Err(ArchiveFault::UnknownType(other).into()),
        };
        if size > 0 {
            return Err(ArchiveFault::Content.into());
        }
        Ok(Member { path: self.at.clone(), meta, what })
    }

    fn file(
        &mut self,
        meta: Meta,
        size: u64,
        sparse: Option<Sparse>,
        budget: &mut Budget,
    ) -> Result<Member, Broken> {
        self.begin(size);
        let Some(sparse) = sparse else {
            budget.bytes(size)?;
            let parts = vec![(0, size)];
            return Ok(Member { path: self.at.clone(), meta, what: What::File { size, parts } });
        };
        let (Some(1), Some(0), Some(name), Some(real)) =
            (sparse.major, sparse.minor, sparse.name, sparse.size)
        else {
            return Err(ArchiveFault::SparseForm.into());
        };
        self.at = name;
        budget.bytes(real)?;
        let mut parts = Vec::new();
        for _ in 0..self.line()? {
            budget.described(size_of::<(u64, u64)>())?;
            parts.push((self.line()?, self.line()?));
        }
        // The list is filled up, as its parts are.
        let read = size - self.left;
        let behind_list = padding(read).min(self.left);
        self.skip(behind_list)?;
        self.left -= behind_list;
        let what = What::File { size: real, parts: fitting(parts, real, self.left)? };
        Ok(Member { path: self.at.clone(), meta, what })
    }

    /// A line of the content that is a number.
    fn line(&mut self) -> Result<u64, Broken> {
        let mut digits = Vec::new();
        while digits.len() <= 20 {
            let mut byte = [0];
            if self.read(&mut byte)? == 0 {
                break;
            }
            if byte == *b"\n" {
                return Ok(pax::number(&digits).ok_or(ArchiveFault::SparseMap)?);
            }
            digits.extend(byte);
        }
        Err(ArchiveFault::SparseMap.into())
    }

    /// A sparse file as GNU tar has always written it: the list of its parts goes on from its header.
    fn gnu_sparse(
        &mut self,
        header: &Header,
        meta: Meta,
        size: u64,
        budget: &mut Budget,
    ) -> Result<Member, Broken> {
        let gnu = header.as_gnu().ok_or(ArchiveFault::SparseForm)?;
        let real = gnu.real_size().map_err(|_| ArchiveFault::Number)?;
        budget.bytes(real)?;
        let mut parts = Vec::new();
        add(&gnu.sparse, &mut parts, budget)?;
        let mut goes_on = gnu.is_extended();
        while goes_on {
            let mut more = GnuExtSparseHeader::new();
            self.from.read_exact(more.as_mut_bytes())?;
            budget.entry()?;
            add(more.sparse(), &mut parts, budget)?;
            goes_on = more.is_extended();
        }
        self.begin(size);
        let what = What::File { size: real, parts: fitting(parts, real, size)? };
        Ok(Member { path: self.at.clone(), meta, what })
    }

    fn begin(&mut self, size: u64) {
        (self.left, self.padding) = (size, padding(size));
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Broken> {
        let skipped = io::copy(&mut (&mut self.from).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(ArchiveFault::Truncated.into()) }
    }
}

/// The content of the last member.
impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let came = self.from.read(&mut buffer[..wanted])?;
        if came == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= came as u64;
        Ok(came)
    }
}

/// What content is filled up with to whole blocks.
const fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// Names in members of their own end with a zero, and some programs fill them up.
fn without_zeros(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &name[..end]
}

/// Adds a piece of the list of a sparse file's parts, which zeros fill up.
fn add(
    listed: &[GnuSparseHeader],
    parts: &mut Vec<(u64, u64)>,
    budget: &mut Budget,
) -> Result<(), ArchiveFault> {
    for part in listed.iter().filter(|part| !part.is_empty()) {
        budget.described(size_of::<(u64, u64)>())?;
        let (Ok(from), Ok(length)) = (part.offset(), part.length()) else {
            return Err(ArchiveFault::SparseMap);
        };
        parts.push((from, length));
    }
    Ok(())
}

/// The parts of a sparse file that is `real` bytes long, of which `stored` are in the archive.
fn fitting(
    listed: Vec<(u64, u64)>,
    real: u64,
    stored: u64,
) -> Result<Vec<(u64, u64)>, ArchiveFault> {
    // The last one often says but where the file ends.
    let parts: Vec<_> = listed.into_iter().filter(|(_, length)| *length > 0).collect();
    let (mut at, mut sum) = (0, 0_u64);
    for (from, length) in &parts {
        let to = from.checked_add(*length).filter(|to| *from >= at && *to <= real);
        at = to.ok_or(ArchiveFault::SparseMap)?;
        // Whether such a part is filled up, programs do not agree.
        if sum % BLOCK != 0 {
            return Err(ArchiveFault::SparseMap);
        }
        sum = sum.saturating_add(*length);
    }
    if sum == stored { Ok(parts) } else { Err(ArchiveFault::SparseMap) }
}

impl Records {
    fn read(mut records: &[u8]) -> Result<Self, ArchiveFault> {
        let mut said = Self::default();
        while !records.is_empty() {
            let (record, behind) = pax::first(records).ok_or(ArchiveFault::Record)?;
            records = behind;
            said.add(&record)?;
        }
        let names = said.xattrs.keys().map(|name| name.len() + 1).sum::<usize>();
        if names <= ATTRIBUTE_NAMES { Ok(said) } else { Err(ArchiveFault::Attribute) }
    }

    /// The last record of a key counts, and one without a value takes back what was said.
    fn add(&mut self, Record { key, value }: &Record<'_>) -> Result<(), ArchiveFault> {
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        let number = || match *value {
            b"" => Ok(None),
            value => pax::number(value).map(Some).ok_or(ArchiveFault::Record),
        };
        match *key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.target = bytes(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => {
                let (seconds, nanos) = pax::parse_time(value).ok_or(ArchiveFault::Record)?;
                self.mtime = Some(Moment { seconds, nanos });
            }
            _ if key.starts_with(b"GNU.sparse.") => {
                let sparse = self.sparse.get_or_insert_default();
                match &key[b"GNU.sparse.".len()..] {
                    b"major" => sparse.major = number()?,
                    b"minor" => sparse.minor = number()?,
                    b"name" => sparse.name = bytes(),
                    b"realsize" => sparse.size = number()?,
                    _ => return Err(ArchiveFault::SparseForm),
                }
            }
            _ => {
                let name = pax::attribute_name(key);
                if let Some(name) = name.filter(|name| crate::xattr::belongs(name)) {
                    let is_possible = name.len() <= ATTRIBUTE_NAME
                        && !name.contains(&0)
                        && value.len() <= ATTRIBUTE;
                    if !is_possible {
                        return Err(ArchiveFault::Attribute);
                    }
                    self.xattrs.insert(name, value.to_vec());
                }
            }
        }
        Ok(())
    }
}
