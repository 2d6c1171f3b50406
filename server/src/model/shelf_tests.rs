use super::*;

fn shelf(root: &tempfile::TempDir, limit: u64) -> Shelf {
    Shelf { root: root.path().join("shelf"), limit }
}

async fn empty(shelf: &Shelf, key: &str) -> Entry {
    match shelf.take(key).await.unwrap() {
        Taken::Empty(entry) => entry,
        Taken::Whole(held) => panic!("{held:?} is there"),
    }
}

async fn whole(shelf: &Shelf, key: &str) -> Held {
    match shelf.take(key).await.unwrap() {
        Taken::Whole(held) => held,
        Taken::Empty(entry) => panic!("{entry:?} isn't there"),
    }
}

/// Fills an entry with so many bytes, as used so many seconds after 1970.
async fn filled(shelf: &Shelf, key: &str, bytes: usize, used: u64) -> Option<Held> {
    let entry = empty(shelf, key).await;
    fs::create_dir_all(entry.folder.join("deep")).unwrap();
    fs::write(entry.folder.join("deep/model.onnx"), vec![7; bytes]).unwrap();
    let held = shelf.settle(entry).unwrap()?;
    let marker = File::options().write(true).open(shelf.path(key, WHOLE)).unwrap();
    marker.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(used)).unwrap();
    Some(held)
}

fn kept(shelf: &Shelf) -> Vec<String> {
    let entries = fs::read_dir(&shelf.root).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_used_longest_ago_goes_first_and_what_is_in_use_never() {
    let root = tempfile::tempdir().unwrap();
    let shelf = shelf(&root, 250);
    drop(filled(&shelf, "a", 100, 20).await);
    let held = filled(&shelf, "b", 100, 10).await.unwrap();
    drop(filled(&shelf, "c", 100, 30).await);
    assert_eq!(kept(&shelf), ["b", "c"], "a was used before c, and b is in use");
    drop(held);
    drop(filled(&shelf, "d", 100, 40).await);
    assert_eq!(kept(&shelf), ["c", "d"]);
    drop(whole(&shelf, "c").await);
    drop(filled(&shelf, "e", 100, 50).await);
    assert_eq!(kept(&shelf), ["c", "e"], "c was read since");
}

#[tokio::test]
async fn what_is_larger_than_the_budget_is_not_kept_and_costs_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let shelf = shelf(&root, 250);
    drop(filled(&shelf, "a", 100, 10).await);
    for bytes in [250, 251] {
        let entry = empty(&shelf, "huge").await;
        fs::write(entry.folder.join("model.onnx"), vec![7; bytes]).unwrap();
        assert_eq!(shelf.is_too_large(&entry).unwrap(), bytes > 250);
        shelf.discard(entry).unwrap();
    }
    assert_eq!(kept(&shelf), ["a"]);
    // One that was left behind by a server that broke off is nobody's, and goes first.
    fs::write(empty(&shelf, "left").await.folder.join("model.onnx"), vec![7; 200]).unwrap();
    drop(filled(&shelf, "b", 100, 30).await);
    assert_eq!(kept(&shelf), ["a", "b"]);
}

#[tokio::test]
async fn one_fills_while_others_wait_and_then_all_read() {
    let root = tempfile::tempdir().unwrap();
    let shelf = shelf(&root, 1_000);
    let entry = empty(&shelf, "a").await;
    let second = tokio::spawn({
        let shelf = shelf.clone();
        async move {
            let held = whole(&shelf, "a").await;
            (fs::read(held.folder.join("model.onnx")).unwrap(), held)
        }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    fs::write(entry.folder.join("model.onnx"), b"whole").unwrap();
    let _first = shelf.settle(entry).unwrap().unwrap();
    let (found, _second) = second.await.unwrap();
    assert_eq!(found, b"whole");
    drop(whole(&shelf, "a").await);
}

#[tokio::test]
async fn a_fill_that_broke_off_is_taken_up() {
    let root = tempfile::tempdir().unwrap();
    let shelf = shelf(&root, 1_000);
    let entry = empty(&shelf, "a").await;
    fs::write(entry.folder.join("half"), b"half").unwrap();
    drop(entry);
    assert!(empty(&shelf, "a").await.folder.join("half").exists());
}

#[tokio::test]
async fn what_is_wrong_is_filled_anew_unless_others_read_it() {
    let root = tempfile::tempdir().unwrap();
    let shelf = shelf(&root, 1_000);
    let first = filled(&shelf, "a", 10, 1).await.unwrap();
    let second = whole(&shelf, "a").await;
    assert!(!shelf.distrust(first).unwrap());
    assert!(shelf.distrust(second).unwrap());
    drop(empty(&shelf, "a").await);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("shelf"), b"a file").unwrap();
    assert!(shelf(&root, 10).take("a").await.is_err());
}
