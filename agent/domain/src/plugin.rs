//! What a plugin asks for, what the operator grants, and what follows from both.
