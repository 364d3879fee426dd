//! Files as they are really changed, in real time.

use seawall::reload::{ConfigWatch, WatchConfig, WatchError};

use super::*;

fn watch(config: &ReloadableConfig) -> ConfigWatch {
    let quick = WatchConfig::builder().settle(ms(30)).without_poll();
    config
        .watch(quick.build().expect("valid"))
        .expect("watched")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_that_exchanges_its_link_is_followed() {
    let folder = Folder::new();
    let version = |name: &str, text: &str| {
        let data = folder.0.join(name);
        fs::create_dir(&data).expect("a folder");
        fs::write(data.join("seawall.toml"), text).expect("written");
    };
    // As a kubelet does it.
    let exchange = |name: &str, old: &str| {
        link(Path::new(name), &folder.0.join("..data_tmp"));
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).expect("renamed");
        let _ = fs::remove_dir_all(folder.0.join(old));
    };
    version("..2026_01", &permits(3));
    exchange("..2026_01", "none");
    link(Path::new("..data/seawall.toml"), &folder.file());
    let config = Config::loader()
        .file(folder.file())
        .load_reloadable()
        .expect("right");
    let _watch = watch(&config);
    assert_eq!(limit_of(&config), 3);
    for (number, old) in [(4, "..2026_01"), (5, "..2026_4"), (6, "..2026_5")] {
        let name = format!("..2026_{number}");
        version(&name, &permits(number));
        exchange(&name, old);
        until("the new limit", || limit_of(&config) == u64::from(number)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_renames_over_the_file_is_noticed_each_time() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let _watch = watch(&config);
    for number in 4..8 {
        let beside = folder.0.join(".seawall.toml.swp");
        fs::write(&beside, permits(number)).expect("written");
        fs::rename(&beside, folder.file()).expect("renamed");
        until("the new limit", || limit_of(&config) == u64::from(number)).await;
    }
    // One that removes it first.
    fs::remove_file(folder.file()).expect("removed");
    folder.write(permits(9));
    until("the new limit", || limit_of(&config) == 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_link_elsewhere_is_followed() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    fs::write(elsewhere.0.join("real.toml"), permits(3)).expect("written");
    link(&elsewhere.0.join("real.toml"), &folder.file());
    let config = Config::loader()
        .file(folder.file())
        .load_reloadable()
        .expect("right");
    let _watch = watch(&config);
    fs::write(elsewhere.0.join("real.toml"), permits(4)).expect("written");
    until("the new limit", || limit_of(&config) == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_file_keeps_the_last_good_one_and_a_complete_one_is_taken() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let _watch = watch(&config);
    let text = permits(4);
    folder.write(&text[..text.len() - 12]);
    until("it is reported", || config.status().rejected.is_some()).await;
    assert_eq!(limit_of(&config), 3);
    folder.write(b"\xff\xfe[resilience]");
    let is_utf8 = || {
        let rejected = config.status().rejected.expect("it is wrong");
        !rejected.error.to_string().contains("UTF-8")
    };
    until("it is reported", || !is_utf8()).await;
    folder.write("");
    until("it is reported", || {
        let rejected = config.status().rejected.expect("it is wrong");
        rejected.error.to_string().contains("there is no table")
    })
    .await;
    fs::remove_file(folder.file()).expect("removed");
    until("it is reported", || {
        config
            .status()
            .rejected
            .expect("it is wrong")
            .error
            .reason()
            == "unreadable"
    })
    .await;
    assert_eq!(limit_of(&config), 3);
    folder.write(&text);
    until("the new limit", || limit_of(&config) == 4).await;
    assert!(config.status().rejected.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_between_loading_and_watching_is_seen() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    folder.write(permits(4));
    let _watch = watch(&config);
    until("the new limit", || limit_of(&config) == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_in_pieces_is_read_once_it_has_settled() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let patient = WatchConfig::builder().settle(ms(400)).without_poll();
    let _watch = config
        .watch(patient.build().expect("valid"))
        .expect("watched");
    for number in 4..24 {
        folder.write(permits(number));
        tokio::time::sleep(ms(5)).await;
    }
    until("the last limit", || limit_of(&config) == 23).await;
    let generation = config.status().generation;
    assert!(generation < 6, "of 20 changes: {generation}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_alone_sees_a_change() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let slow = WatchConfig::builder()
        .settle(ms(1))
        .directory(false)
        .poll_every(ms(20));
    let _watch = config.watch(slow.build().expect("valid")).expect("watched");
    tokio::time::sleep(ms(60)).await;
    folder.write(permits(4));
    until("the new limit", || limit_of(&config) == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_has_it_read() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let hangup = WatchConfig::builder()
        .settle(ms(1))
        .directory(false)
        .without_poll()
        .hangup(true);
    let watch = config
        .watch(hangup.build().expect("valid"))
        .expect("watched");
    // The first look, at once, is over.
    tokio::time::sleep(ms(200)).await;
    folder.write(permits(4));
    tokio::time::sleep(ms(50)).await;
    assert_eq!(limit_of(&config), 3, "nothing looks by itself");
    let id = std::process::id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-HUP", &id])
        .status();
    assert!(sent.expect("there is `kill`").success());
    until("the new limit", || limit_of(&config) == 4).await;
    drop(watch);
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_an_error() {
    let text = "[resilience.a]\n";
    let config = Config::loader()
        .text("f.toml", text)
        .load_reloadable()
        .expect("right");
    let error = config
        .watch(WatchConfig::default())
        .expect_err("there is no file");
    assert!(matches!(error, WatchError::NoFile), "{error}");
    let builder = WatchConfig::builder;
    let fields = [
        (builder().settle(ms(0)), "settle"),
        (builder().poll_every(Duration::MAX), "poll_every"),
        (builder().without_poll().directory(false), "directory"),
    ];
    for (builder, field) in fields {
        assert_eq!(builder.build().expect_err("wrong").field(), field);
    }
    let zero = builder().settle(ms(0)).build().expect_err("wrong");
    let text = "`settle` is 0s, accepted is longer than zero, up to a day";
    assert_eq!(zero.to_string(), text);
    let gone = Folder::new();
    let config = gone.load("[resilience.a]\n");
    fs::remove_dir_all(&gone.0).expect("removed");
    let error = config
        .watch(WatchConfig::default())
        .expect_err("no directory");
    assert!(error.to_string().contains("cannot be watched"), "{error}");
}

#[test]
fn outside_of_a_runtime_it_is_an_error() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let error = config
        .watch(WatchConfig::default())
        .expect_err("no runtime");
    assert!(matches!(error, WatchError::NoRuntime), "{error}");
}

#[tokio::test]
async fn a_pipe_a_folder_and_a_huge_file_are_errors_that_name_it() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let wrong = |what: &str| {
        let error = config.reload().expect_err("it cannot be read");
        assert_eq!(error.reason(), "unreadable");
        let text = error.to_string();
        assert!(
            text.contains(&folder.file().display().to_string()),
            "{text}"
        );
        assert!(text.contains(what), "{text}");
    };
    fs::remove_file(folder.file()).expect("removed");
    let made = std::process::Command::new("mkfifo")
        .arg(folder.file())
        .status();
    assert!(made.expect("there is `mkfifo`").success());
    wrong("it is no regular file");
    let first = Config::load(folder.file()).expect_err("a pipe");
    assert!(
        first.to_string().contains("it is no regular file"),
        "{first}"
    );
    fs::remove_file(folder.file()).expect("removed");
    fs::create_dir(folder.file()).expect("made");
    wrong("it is no regular file");
    fs::remove_dir(folder.file()).expect("removed");
    link(Path::new("/dev/zero"), &folder.file());
    wrong("it is no regular file");
    fs::remove_file(folder.file()).expect("removed");
    let limit = usize::try_from(seawall::config::MAX_FILE_BYTES).expect("small");
    let mut text = permits(4);
    text.push_str(&"#".repeat(limit - text.len()));
    folder.change(&config, &text);
    assert_eq!(limit_of(&config), 4);
    text.push('#');
    folder.write(&text);
    wrong("it is longer than 4194304 bytes");
}

#[test]
fn a_runtime_without_a_driver_is_an_error() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let missing = |runtime: &mut tokio::runtime::Builder| {
        let runtime = runtime.build().expect("a runtime");
        let settings = WatchConfig::builder().hangup(true).build();
        let watched = runtime.block_on(async { config.watch(settings.expect("valid")) });
        match watched {
            Err(WatchError::NoDriver { driver }) => Some(driver),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        }
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    assert_eq!(missing(&mut runtime), Some("time"));
    assert_eq!(missing(runtime.enable_time()), Some("I/O"));
    assert_eq!(missing(runtime.enable_io()), None);
}
