//! The action for a frame.

/// The action for a frame. The numbers are those of the kernel's `enum xdp_action`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The frame is dropped.
    Drop = 1,
    /// The frame continues to the network stack.
    Pass = 2,
    /// The frame was rewritten into its answer, and goes back to its sender.
    Answer = 3,
}
