#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code; its documentation is in proto/")]

tonic::include_proto!("bellwether.v1");

/// The compiled descriptors of every file, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bellwether.binpb"));
