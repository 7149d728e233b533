//! Network namespaces, real scanners and packets through the kernel.
