//! Model folders: what is written is read, what is wrong is named.

mod config;
mod damage;
mod fixture;
mod round_trip;
