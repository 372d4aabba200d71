//! The operating system: ptys, OS users, processes. The only unsafe code.
