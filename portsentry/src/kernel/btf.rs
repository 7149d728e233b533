//! Finds a function among the kernel's types (BTF, `Documentation/bpf/btf.rst` in the kernel). A second parse by aya would make
//! an object of each of a hundred thousand types.

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
/// `BTF_KIND_FUNC`.
const FUNCTION: u32 = 12;

/// Returns the number of the type of the function `name`, if `btf`, the content of `/sys/kernel/btf/vmlinux`, has it.
pub(super) fn function(btf: &[u8], name: &str) -> Option<u32> {
    let mut words = vec![0_u32; btf.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..btf.len()].copy_from_slice(btf);
    // `struct btf_header`: both offsets count from its end.
    let &[first, header, types_at, types_length, strings_at, ..] = words.as_slice() else { return None };
    let start = header.checked_add(types_at)?;
    let types = words.get(start as usize / 4..start.checked_add(types_length)? as usize / 4)?;
    let strings = btf.get(header.checked_add(strings_at)? as usize..)?;
    if !first.to_ne_bytes().starts_with(&MAGIC.to_ne_bytes()) {
        return None;
    }
    let is_name = |at: u32| {
        let text = strings.get(at as usize..).and_then(|text| text.strip_prefix(name.as_bytes()));
        text.is_some_and(|rest| rest.first() == Some(&0))
    };
    // Number 0 is `void`, which has no entry.
    let (mut at, mut number) = (0, 1);
    while let Some(&[text, info, _]) = types.get(at..at + 3) {
        let kind = info >> 24 & 0x1f;
        if kind == FUNCTION && is_name(text) {
            return Some(number);
        }
        at += 3 + words_after(kind, info as usize & 0xffff)?;
        number += 1;
    }
    None
}

/// Returns the number of words after the `struct btf_type` of this kind with `members` members.
fn words_after(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats and type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables and declaration tags.
        1 | 14 | 17 => 1,
        // Arrays.
        3 => 3,
        // Enumerations and prototypes.
        6 | 13 => 2 * members,
        // Structures, unions, data sections and enumerations of 64 bits.
        4 | 5 | 15 | 19 => 3 * members,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Read,
    };

    use aya::Btf;
    use aya_obj::btf::BtfKind;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn functions_have_the_numbers_that_aya_finds() {
        let bytes = fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let parsed = Btf::from_sys_fs().unwrap();
        for name in
            ["bpf_prog_load", "tcp_v4_rcv", "vfs_read", "bpf_sk_assign_tcp_reqsk", "bpf_sk_assign_tcp"]
        {
            assert_eq!(
                function(&bytes, name),
                parsed.id_by_type_name_kind(name, BtfKind::Func).ok(),
                "{name}"
            );
        }
        assert!(function(&bytes, "vfs_read").is_some());
        // A type, but no function.
        assert_eq!(function(&bytes, "task_struct"), None);
    }

    proptest! {
        #[test]
        fn torn_types_have_no_function(
            length in 0..4096_usize,
            changes in prop::collection::vec((0..4096_usize, any::<u8>()), 0..9),
        ) {
            let mut bytes = vec![0; 4096];
            File::open("/sys/kernel/btf/vmlinux").unwrap().read_exact(&mut bytes).unwrap();
            // The length of the types, and the offset of the strings, so that the types are walked.
            bytes[12..16].copy_from_slice(&2048_u32.to_ne_bytes());
            bytes[16..20].copy_from_slice(&2048_u32.to_ne_bytes());
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length);
            prop_assert_eq!(function(&bytes, "vfs_read"), None);
        }
    }
}
