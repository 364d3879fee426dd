//! A file by a relative path. Alone in its process, which goes to another folder.

use std::{env, fs};

use seawall::config::Config;

#[test]
fn a_relative_path_stays_that_file_when_the_process_goes_elsewhere() {
    let folder = env::temp_dir().join(format!("seawall-relative-{}", std::process::id()));
    fs::create_dir_all(folder.join("elsewhere")).expect("made");
    env::set_current_dir(&folder).expect("it is there");
    fs::write("seawall.toml", "[resilience.a]\nretry.attempts = 2\n").expect("written");
    let config = Config::loader()
        .file("seawall.toml")
        .load_reloadable()
        .expect("right");
    env::set_current_dir("elsewhere").expect("it is there");
    assert!(config.reload().expect("it is the same file").is_unchanged());
    fs::write("../seawall.toml", "[resilience.a]\nretry.atempts = 3\n").expect("written");
    let error = config.reload().expect_err("it is wrong").to_string();
    assert!(
        error.starts_with("seawall.toml:2:7: "),
        "as it was given: {error}"
    );
    fs::remove_file("../seawall.toml").expect("removed");
    let error = config.reload().expect_err("it is gone").to_string();
    assert!(error.starts_with("seawall.toml cannot be read"), "{error}");
    env::set_current_dir("/").expect("it is there");
    fs::remove_dir_all(folder).expect("removed");
}
