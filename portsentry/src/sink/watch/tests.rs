use std::{
    fs::{OpenOptions, Permissions, create_dir, create_dir_all, remove_dir_all, remove_file, rename, write},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

async fn next(watch: &mut Watch) -> PathBuf {
    timeout(PATIENCE, watch.changed()).await.expect("no change is told").unwrap()
}

/// Runs each step after the previous one was reported. Each changes the file to which `file` in a new directory
/// leads.
async fn each_is_told(prepare: impl Fn(&Path), steps: &[fn(&Path)]) {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    prepare(at);
    let (file, other) = (at.join("way/file"), at.join("other"));
    let mut watch = Watch::new([&file, &other]).unwrap();
    for (index, step) in steps.iter().enumerate() {
        step(at);
        assert_eq!(next(&mut watch).await, file, "{index}");
        // No further change of it is reported.
        write(&other, "").unwrap();
        assert_eq!(next(&mut watch).await, other, "{index}");
    }
}

fn file(at: &Path) {
    create_dir(at.join("way")).unwrap();
    write(at.join("way/file"), "old").unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_replaced_and_removed() {
    each_is_told(
        file,
        &[
            |at| OpenOptions::new().append(true).open(at.join("way/file")).unwrap().write_all(b"x").unwrap(),
            |at| {
                write(at.join("way/file.new"), "new").unwrap();
                rename(at.join("way/file.new"), at.join("way/file")).unwrap();
            },
            |at| fs::set_permissions(at.join("way/file"), Permissions::from_mode(0o600)).unwrap(),
            |at| remove_file(at.join("way/file")).unwrap(),
            |at| write(at.join("way/file"), "again").unwrap(),
            |at| rename(at.join("way/file"), at.join("way/gone")).unwrap(),
            |at| (0..20).for_each(|_| write(at.join("way/file"), "often").unwrap()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_directory_that_comes_goes_and_is_replaced() {
    each_is_told(
        |_| {},
        &[
            |at| create_dir(at.join("way")).unwrap(),
            |at| write(at.join("way/file"), "first").unwrap(),
            |at| remove_dir_all(at.join("way")).unwrap(),
            file,
            |at| {
                create_dir(at.join("next")).unwrap();
                rename(at.join("way"), at.join("last")).unwrap();
                rename(at.join("next"), at.join("way")).unwrap();
            },
            |at| {
                write(at.join("last/file"), "no longer ours").unwrap();
                write(at.join("way/file"), "ours").unwrap();
            },
            |at| {
                remove_dir_all(at.join("way")).unwrap();
                write(at.join("way"), "not a directory").unwrap();
            },
        ],
    )
    .await;
}

#[tokio::test]
async fn what_links_lead_to() {
    let prepare = |at: &Path| {
        create_dir_all(at.join("one/deep")).unwrap();
        create_dir(at.join("two")).unwrap();
        symlink("one", at.join("way")).unwrap();
        symlink("deep/../../two/target", at.join("one/file")).unwrap();
    };
    each_is_told(
        prepare,
        &[
            |at| write(at.join("two/target"), "first").unwrap(),
            |at| write(at.join("two/target"), "second").unwrap(),
            |at| {
                symlink(at.join("absolute"), at.join("one/new")).unwrap();
                rename(at.join("one/new"), at.join("one/file")).unwrap();
            },
            |at| {
                write(at.join("two/target"), "no longer ours").unwrap();
                write(at.join("absolute"), "ours").unwrap();
            },
            |at| {
                symlink("two", at.join("new")).unwrap();
                rename(at.join("new"), at.join("way")).unwrap();
            },
            |at| write(at.join("two/file"), "ours").unwrap(),
            |at| {
                remove_file(at.join("two/file")).unwrap();
                symlink("file", at.join("two/file")).unwrap();
            },
            |at| remove_file(at.join("two/file")).unwrap(),
        ],
    )
    .await;
}

#[tokio::test]
async fn neighbours_are_not_told_and_files_are_told_apart() {
    let directory = TempDir::new().unwrap();
    let [one, two, neighbour] = ["one", "two", "one.tmp"].map(|name| directory.path().join(name));
    let mut watch = Watch::new([&one, &two]).unwrap();
    for (write_to, told) in [(&neighbour, None), (&two, Some(&two)), (&neighbour, None), (&one, Some(&one))] {
        write(write_to, "").unwrap();
        if let Some(path) = told {
            assert_eq!(&next(&mut watch).await, path);
        }
    }
    write(&two, "").unwrap();
    write(&one, "").unwrap();
    let mut both = [next(&mut watch).await, next(&mut watch).await];
    both.sort();
    assert_eq!(both, [one, two]);
}

#[tokio::test]
async fn a_change_is_told_though_the_wait_for_it_was_given_up() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    let mut watch = Watch::new([&path]).unwrap();
    write(&path, "").unwrap();
    while watch.files[0].due.is_none() {
        // Polled once, then dropped.
        tokio::select! {
            biased;
            _ = watch.changed() => panic!("told before it settled"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(next(&mut watch).await, path);
}

#[tokio::test]
async fn events_that_the_kernel_had_to_leave_out() {
    let directory = TempDir::new().unwrap();
    let [path, one, two] = ["file", "one", "two"].map(|name| directory.path().join(name));
    let mut watch = Watch::new([&path]).unwrap();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    // Changed in turn, because the kernel merges equal consecutive events.
    for neighbour in [&one, &two].into_iter().cycle().take(limit.trim().parse().unwrap()) {
        write(neighbour, "").unwrap();
    }
    write(&path, "").unwrap();
    assert_eq!(next(&mut watch).await, path);
}

#[tokio::test]
async fn directories_that_lead_nowhere_are_let_go() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    create_dir(at.join("one")).unwrap();
    create_dir(at.join("two")).unwrap();
    symlink("one/file", at.join("file")).unwrap();
    let mut watch = Watch::new([at.join("file")]).unwrap();
    let before = watch.watched.len();
    for target in ["two/file", "one/file", "two/file"] {
        symlink(target, at.join("new")).unwrap();
        rename(at.join("new"), at.join("file")).unwrap();
        next(&mut watch).await;
        assert_eq!(watch.watched.len(), before);
    }
}
