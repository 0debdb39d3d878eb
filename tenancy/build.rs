//! Migrations are embedded by a macro, which the compiler does not watch.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
