//! `millrace-autoscale`: simulates the scaling law.

fn main() {}
