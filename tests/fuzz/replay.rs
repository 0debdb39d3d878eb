//! Runs what the fuzzer has found through the function that it calls, in the tests of the crate that has it.

/// Runs every input of a target's corpus. One that makes it panic stands in the test's output.
pub fn replay(target: &str, run: fn(&[u8])) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/");
    let folder = std::path::Path::new(folder).join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    names.sort();
    assert!(!names.is_empty(), "{} is empty", folder.display());
    for name in names {
        println!("{}", name.display());
        run(&std::fs::read(&name).unwrap());
    }
}
