//! For plugin authors: a trait per world, an export macro, errors.
