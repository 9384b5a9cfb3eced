//! Changes the sites at random, and sometimes deletes a page.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client, ResourceExt};
use serde_json::json;

use super::site::{Site, SiteSpec};
use super::tally::Tally;

/// The namespace of the sites.
const NAMESPACE: &str = "default";
/// The range of the random pause between two changes, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 500..1_600;
const SITE_NAMES: [&str; 5] = ["blog", "docs", "news", "wiki", "shop"];
/// The titles of the sites.
const TITLES: [&str; 6] = ["Welcome", "Hello", "Opening soon", "Sale", "All new", "Moved"];
/// The maximum number of pages that the editor requests for a site.
const MAX_PAGES: u32 = 6;

/// Changes the sites until the task is aborted. A failed change is displayed, and not retried.
pub(super) async fn change_sites(client: Client, tally: Arc<Tally>, seed: u64) {
    let mut editor = RandomEditor {
        sites: Api::namespaced(client.clone(), NAMESPACE),
        maps: Api::namespaced(client, NAMESPACE),
        random: fastrand::Rng::with_seed(seed),
    };
    loop {
        match editor.make_random_change().await {
            Ok(Some(line)) => {
                tally.edits.increment();
                tally.send_message(line);
            }
            Ok(None) => {}
            Err(error) => tally.send_message(format!("editor: {:#}", anyhow::Error::from(error))),
        }
        tokio::time::sleep(Duration::from_millis(editor.random.u64(PAUSE_MS))).await;
    }
}

/// Creates, changes and deletes sites at random, and deletes pages.
struct RandomEditor {
    sites: Api<Site>,
    maps: Api<ConfigMap>,
    random: fastrand::Rng,
}

impl RandomEditor {
    /// Makes one random change. Returns a message about the change, or `None` if nothing was changed.
    async fn make_random_change(&mut self) -> Result<Option<String>, kube_client::Error> {
        let sites = self.sites.list(&ListParams::default()).await?.items;
        let Some(site) = (sites.len() > 1).then(|| &sites[self.random.usize(..sites.len())]) else {
            return self.create_site(&sites).await;
        };
        match self.random.u8(..10) {
            0 | 1 => self.create_site(&sites).await,
            2 if sites.len() > 2 => self.delete_site(site).await,
            3 | 4 => self.delete_page(site).await,
            5 | 6 => self.change_title(site).await,
            _ => self.change_page_count(site).await,
        }
    }

    /// Creates a site, unless all names are in use.
    async fn create_site(&mut self, sites: &[Site]) -> Result<Option<String>, kube_client::Error> {
        let free = SITE_NAMES.iter().find(|name| !sites.iter().any(|site| site.name_any() == **name));
        let Some(name) = free else { return Ok(None) };
        let title = TITLES[self.random.usize(..TITLES.len())].to_owned();
        let pages = self.random.u32(2..=MAX_PAGES);
        let site = Site::new(name, SiteSpec { title, pages });
        self.sites.create(&PostParams::default(), &site).await?;
        Ok(Some(format!("site {name} opened with {pages} pages")))
    }

    async fn delete_site(&self, site: &Site) -> Result<Option<String>, kube_client::Error> {
        let name = site.name_any();
        self.sites.delete(&name, &DeleteParams::default()).await?;
        Ok(Some(format!("site {name} closed; the garbage collector deletes its pages")))
    }

    /// Deletes a page. The controller then creates it again.
    async fn delete_page(&mut self, site: &Site) -> Result<Option<String>, kube_client::Error> {
        let name = site.name_any();
        let Some(number) = site.spec.pages.checked_sub(1).map(|last| self.random.u32(..=last)) else {
            return Ok(None);
        };
        match self.maps.delete(&format!("{name}-page-{number}"), &DeleteParams::default()).await {
            Ok(_) => Ok(Some(format!("site {name} lost page {}: deleted by the editor", number + 1))),
            // The controller has not written the page yet.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn change_title(&mut self, site: &Site) -> Result<Option<String>, kube_client::Error> {
        let title = TITLES[self.random.usize(..TITLES.len())];
        if title == site.spec.title {
            return Ok(None);
        }
        self.patch_spec(site, &json!({ "title": title })).await?;
        Ok(Some(format!("site {} is now called \"{title}\"", site.name_any())))
    }

    async fn change_page_count(&mut self, site: &Site) -> Result<Option<String>, kube_client::Error> {
        let pages = self.random.u32(1..=MAX_PAGES);
        if pages == site.spec.pages {
            return Ok(None);
        }
        self.patch_spec(site, &json!({ "pages": pages })).await?;
        Ok(Some(format!("site {} goes from {} to {pages} pages", site.name_any(), site.spec.pages)))
    }

    async fn patch_spec(&self, site: &Site, spec: &serde_json::Value) -> Result<(), kube_client::Error> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.sites.patch(&site.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }
}
