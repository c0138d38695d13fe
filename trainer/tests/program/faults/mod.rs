//! Damaged and missing files, full disks and signals.

mod damage;
mod full_disk;
mod missing;
mod signals;
