//! teleport.yaml, flags and environment, checked before anything is opened.
