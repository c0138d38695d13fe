//! Laws of checkpoints: whole or not there, damage is noticed, the newest are kept.

mod contents;
mod crashes;
mod damage;
mod faulty_disk;
mod retention;
mod samples;
