//! Black-box tests of the programs.
