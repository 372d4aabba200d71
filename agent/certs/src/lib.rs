//! Keys and certificates: SSH and X.509.
