//! What node, proxy and tunnel share of SSH.
