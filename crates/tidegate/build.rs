//! Says that the binary is built anew when a file of the examples comes, goes or changes: they are embedded in it.

fn main() {
    println!("cargo::rerun-if-changed=../../examples");
}
