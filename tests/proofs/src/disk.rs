//! A disk with a volatile write cache: what was written is durable only after a flush, and a power cut leaves any of the rest.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
};

/// What a disk writes as a whole, in bytes.
pub const BLOCK: usize = 4096;
const BYTES: u64 = 4096;
/// Versions of one block that are remembered between two flushes; older ones are forgotten.
const VERSIONS: usize = 8;

type Block = [u8; BLOCK];

/// What happens to calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As of a good disk.
    #[default]
    Good,
    /// Flushes are answered as done and are not: what a power cut must be seen to take.
    Lying,
    /// Writes and flushes fail, as while the power is off or the disk is broken.
    Failing,
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    durable: File,
    blocks: u64,
    volatile: BTreeMap<u64, Vec<Block>>,
    mood: Mood,
    /// Flushes that made something durable.
    flushes: u64,
}

/// What a power cut left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Blocks that were written since the last flush.
    pub volatile: usize,
    /// Of them, those of which a version was kept.
    pub kept: usize,
}

/// A number that looks like chance and is the same in every run: splitmix64.
pub const fn scatter(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl Disk {
    /// An empty disk of so many MiB in this file, which is cut to nothing first.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(durable: File, mib: u32) -> io::Result<Self> {
        durable.set_len(0)?;
        durable.set_len(u64::from(mib) << 20)?;
        let blocks = u64::from(mib) << 8;
        Ok(Self { durable, blocks, volatile: BTreeMap::new(), mood: Mood::Good, flushes: 0 })
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.blocks.saturating_mul(BYTES)
    }

    /// How calls are answered from now on.
    pub const fn behave(&mut self, mood: Mood) {
        self.mood = mood;
    }

    /// Flushes so far that made something durable.
    pub const fn flushes(&self) -> u64 {
        self.flushes
    }

    fn block(&self, number: u64) -> io::Result<Block> {
        if let Some(newest) = self.volatile.get(&number).and_then(|versions| versions.last()) {
            return Ok(*newest);
        }
        let mut block = [0; BLOCK];
        self.durable.read_exact_at(&mut block, number.saturating_mul(BYTES))?;
        Ok(block)
    }

    /// Calls `each` with number, place in the block and place in the data of every block of this range.
    fn over(
        &self,
        at: u64,
        length: usize,
        mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let outside = || io::Error::from(ErrorKind::InvalidInput);
        let end = u64::try_from(length).ok().and_then(|length| at.checked_add(length)).ok_or_else(outside)?;
        if end > self.size() {
            return Err(outside());
        }
        let mut done = 0_usize;
        while done < length {
            let place = at.saturating_add(u64::try_from(done).map_err(|_| outside())?);
            let start = usize::try_from(place % BYTES).map_err(|_| outside())?;
            let count = BLOCK.saturating_sub(start).min(length.saturating_sub(done));
            let to = done.saturating_add(count);
            each(place / BYTES, start..start.saturating_add(count), done..to)?;
            done = to;
        }
        Ok(())
    }

    /// Reads what was written last, durable or not.
    ///
    /// # Errors
    /// Outside of the disk; those of the file.
    pub fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::with_capacity(length);
        self.over(at, length, |number, inside, _| {
            let block = self.block(number)?;
            read.extend_from_slice(block.get(inside).unwrap_or_default());
            Ok(())
        })?;
        Ok(read)
    }

    /// Writes into the cache.
    ///
    /// # Errors
    /// Outside of the disk; the disk fails; those of the file.
    pub fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        if self.mood == Mood::Failing {
            return Err(ErrorKind::Other.into());
        }
        let mut written = Vec::new();
        self.over(at, data.len(), |number, inside, from| {
            let mut block = self.block(number)?;
            if let (Some(to), Some(new)) = (block.get_mut(inside), data.get(from)) {
                to.copy_from_slice(new);
            }
            written.push((number, block));
            Ok(())
        })?;
        for (number, block) in written {
            let versions = self.volatile.entry(number).or_default();
            if versions.len() == VERSIONS {
                versions.remove(0);
            }
            versions.push(block);
        }
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The disk fails; those of the file.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.mood {
            Mood::Failing => return Err(ErrorKind::Other.into()),
            Mood::Lying => return Ok(()),
            Mood::Good => {}
        }
        self.flushes = self.flushes.saturating_add(1);
        while let Some((number, versions)) = self.volatile.pop_first() {
            if let Some(newest) = versions.last() {
                self.durable.write_all_at(newest, number.saturating_mul(BYTES))?;
            }
        }
        Ok(())
    }

    /// The power goes and comes back: of each block that was not flushed, with a chance of `kept_of_256`, any version is
    /// there, else none. The disk is good again.
    ///
    /// # Errors
    /// Those of the file.
    pub fn cut(&mut self, seed: u64, kept_of_256: u16) -> io::Result<Cut> {
        let mut cut = Cut { volatile: self.volatile.len(), kept: 0 };
        while let Some((number, versions)) = self.volatile.pop_first() {
            let chance = scatter(seed ^ scatter(number));
            if chance & 0xff >= u64::from(kept_of_256) {
                continue;
            }
            let count = u64::try_from(versions.len()).unwrap_or(0);
            let which =
                (chance >> 8).checked_rem(count).and_then(|which| usize::try_from(which).ok()).unwrap_or(0);
            if let Some(version) = versions.get(which) {
                self.durable.write_all_at(version, number.saturating_mul(BYTES))?;
                cut.kept = cut.kept.saturating_add(1);
            }
        }
        self.mood = Mood::Good;
        Ok(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        Disk::new(tempfile::tempfile().unwrap(), 1).unwrap()
    }

    #[test]
    fn what_was_flushed_is_there_after_a_cut_and_the_rest_as_chance_has_it() {
        let mut disk = disk();
        disk.write(4000, &[1; 200]).unwrap();
        disk.flush().unwrap();
        disk.write(4000, &[2; 200]).unwrap();
        assert_eq!(disk.read(3999, 3).unwrap(), [0, 2, 2]);
        assert_eq!(disk.cut(7, 0).unwrap(), Cut { volatile: 2, kept: 0 });
        assert_eq!(disk.read(3999, 3).unwrap(), [0, 1, 1]);
        disk.write(4000, &[3; 200]).unwrap();
        assert_eq!(disk.cut(7, 256).unwrap(), Cut { volatile: 2, kept: 2 });
        assert_eq!(disk.read(4000, 200).unwrap(), [3; 200]);
        assert_eq!((disk.flushes(), disk.size()), (1, 1 << 20));
    }

    #[test]
    fn a_cut_tears_between_blocks_and_between_versions() {
        let mut disk = disk();
        let (mut torn, mut old) = (0, 0);
        for seed in 0..64 {
            disk.write(0, &[0; 2 * BLOCK]).unwrap();
            disk.flush().unwrap();
            for version in 1..=3 {
                disk.write(0, &[version; 2 * BLOCK]).unwrap();
            }
            disk.cut(seed, 128).unwrap();
            let (first, second) = (disk.read(0, 1).unwrap()[0], disk.read(BYTES, 1).unwrap()[0]);
            torn += u32::from(first != second);
            old += u32::from(matches!(first, 1 | 2));
        }
        assert!(torn > 20 && old > 10, "{torn} torn, {old} of an older version");
    }

    #[test]
    fn only_so_many_versions_are_kept() {
        let mut disk = disk();
        for version in 0..100 {
            disk.write(0, &[version; BLOCK]).unwrap();
        }
        disk.cut(1, 256).unwrap();
        assert!(disk.read(0, 1).unwrap()[0] >= 92);
    }

    #[test]
    fn a_lying_disk_loses_what_it_said_was_flushed_and_a_failing_one_says_so() {
        let mut disk = disk();
        disk.behave(Mood::Lying);
        disk.write(0, &[5]).unwrap();
        disk.flush().unwrap();
        disk.cut(1, 0).unwrap();
        assert_eq!(disk.read(0, 1).unwrap(), [0]);
        disk.behave(Mood::Failing);
        assert!(disk.write(0, &[5]).is_err() && disk.flush().is_err());
        assert_eq!(disk.read(0, 1).unwrap(), [0]);
    }

    #[test]
    fn nothing_is_outside_of_it() {
        let mut disk = disk();
        assert!(disk.read((1 << 20) - 1, 1).is_ok());
        assert!(disk.read((1 << 20) - 1, 2).is_err() && disk.write(u64::MAX, &[1]).is_err());
    }
}
