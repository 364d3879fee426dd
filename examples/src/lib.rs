//! Runnable examples of Seawall; see the files beside this one.
