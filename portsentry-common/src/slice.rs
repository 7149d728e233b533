//! A frame in memory.

use bytemuck::AnyBitPattern;

use crate::frame::{Bytes, Frame};

impl Bytes for &[u8] {
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..offset.checked_add(size_of::<T>())?)?;
        bytemuck::try_pod_read_unaligned(bytes).ok()
    }

    #[inline(always)]
    fn reaches(self, length: usize) -> bool {
        length <= self.len()
    }

    #[inline(always)]
    fn skip(self, length: usize) -> Self {
        self.get(length..).unwrap_or_default()
    }
}

impl<'a> Frame for &'a [u8] {
    type Bytes = &'a [u8];

    #[inline(always)]
    fn bytes(&self) -> &'a [u8] {
        self
    }

    #[inline(always)]
    fn holds(&self, length: usize) -> bool {
        length <= self.len()
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        Bytes::read(*self, offset)
    }
}
