use futures::future::try_join_all;

use super::{Harness, run};
use crate::{ContainerState, PullOptions, RuntimeError};

pub async fn an_image_is_pulled_listed_and_removed(harness: &mut dyn Harness) {
    let (runtime, image) = (harness.runtime(), harness.image());
    assert_eq!(runtime.image_status(&image).await.unwrap(), None);
    let pulled = runtime.pull_image(&image, &PullOptions::default()).await.unwrap();
    assert!(pulled.digest.starts_with("sha256:") && pulled.id.starts_with("sha256:"), "{pulled:?}");
    assert!(pulled.size_bytes > 1000, "{pulled:?}");
    assert_eq!(runtime.image_status(&image).await.unwrap().as_ref(), Some(&pulled));
    assert_eq!(runtime.list_images().await.unwrap(), [pulled]);
    let spec = run(harness, "holds", &["sleep", "1000"]).await;
    runtime.remove_image(&image).await.unwrap();
    assert_eq!(runtime.image_status(&image).await.unwrap(), None);
    assert_eq!(runtime.list_images().await.unwrap(), []);
    let container = super::observed(&*runtime, &spec.id).await.unwrap();
    assert!(matches!(container.state, ContainerState::Running { .. }), "{container:?}");
    runtime.pull_image(&image, &PullOptions::default()).await.unwrap();
}

pub async fn a_missing_image_is_not_found(harness: &mut dyn Harness) {
    let missing = harness.missing_image();
    match harness.runtime().pull_image(&missing, &PullOptions::default()).await.unwrap_err() {
        RuntimeError::ImageNotFound { image } => assert_eq!(image, missing),
        other => panic!("{other:?}"),
    }
}

pub async fn one_image_can_be_pulled_many_times_at_once(harness: &mut dyn Harness) {
    let (runtime, image, options) = (harness.runtime(), harness.image(), PullOptions::default());
    let pulls = (0..6).map(|_| runtime.pull_image(&image, &options));
    let pulled = try_join_all(pulls).await.unwrap();
    assert!(pulled.windows(2).all(|pair| pair[0] == pair[1]), "{pulled:?}");
    assert_eq!(runtime.list_images().await.unwrap().len(), 1);
}
