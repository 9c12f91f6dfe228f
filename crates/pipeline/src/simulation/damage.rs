//! Damages the newest checkpoint of a flow, and nothing of the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Flips a bit of a file of the newest checkpoint of some flow, cuts it, or removes it; tells which, if there is one.
pub(super) async fn damage(store: &Arc<InMemory>, random: &mut fastrand::Rng) -> Option<String> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut checkpoints: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for file in listed {
        let name = file.location.to_string();
        if let Some((folder, file_name)) = name.rsplit_once("/state/")
            && file_name.starts_with("checkpoint-")
        {
            let flow = checkpoints.entry(folder.to_owned()).or_default();
            flow.push(file.location);
        }
    }
    let flows = checkpoints.len();
    let (folder, mut found) = checkpoints.into_iter().nth(random.usize(0..flows.max(1)))?;
    found.sort();
    let newest = found.pop()?;
    let before = match found.pop() {
        Some(before) => segments(store, &before).await,
        None => Vec::new(),
    };
    let mut targets = vec![newest.clone()];
    for name in segments(store, &newest).await {
        if !before.contains(&name) {
            // Names of files are written so that they can be read anywhere.
            let encoded = name.replace('.', "!2e");
            targets.push(Path::from(format!("{folder}/state/{encoded}")));
        }
    }
    let target = targets.swap_remove(random.usize(0..targets.len()));
    let bytes = store.get(&target).await.ok()?.bytes().await.unwrap();
    let mut bytes = bytes.to_vec();
    let what = match random.u8(0..3) {
        0 => {
            store.delete(&target).await.unwrap();
            return Some(format!("removed {target}"));
        }
        1 => {
            bytes.truncate(random.usize(0..bytes.len()));
            "cut"
        }
        _ => {
            let at = random.usize(0..bytes.len());
            bytes[at] ^= 1 << random.u8(0..8);
            "flipped a bit of"
        }
    };
    store.put(&target, bytes.into()).await.unwrap();
    Some(format!("{what} {target}"))
}

/// The segments that a manifest names.
async fn segments(store: &Arc<InMemory>, manifest: &Path) -> Vec<String> {
    let bytes = store.get(manifest).await.unwrap().bytes().await.unwrap();
    let json = bytes.splitn(2, |byte| *byte == b'\n').nth(1);
    let value: serde_json::Value =
        serde_json::from_slice(json.unwrap_or_default()).unwrap_or_default();
    let names = value["segments"].as_object().into_iter().flatten();
    names.map(|(name, _)| name.clone()).collect()
}
