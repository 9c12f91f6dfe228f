//! Opening the records: the folder, the database, its migrations.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, SqlSafeStr};

use crate::url::Place;
use crate::{StoreError, StoreUrl, Surroundings};

/// Every migration there ever was, oldest first. A released one is never changed.
const MIGRATIONS: &[(i64, &str, &str)] =
    &[(1, "runs", include_str!("../migrations/0001_runs.sql"))];

/// How often a lost race for the first migration is run again, and the pause before each.
const MIGRATION_ATTEMPTS_MAX: u32 = 20;
const MIGRATION_PAUSE: Duration = Duration::from_millis(25);

/// Tidegate's records, open. Cheap to clone; all clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: AnyPool,
    pub(crate) surroundings: Surroundings,
    url: StoreUrl,
}

impl Store {
    /// Opens the records, and makes or migrates them where needed.
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::Open`] or [`StoreError::Migrate`].
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Self::open_in(url, Surroundings::system()).await
    }

    /// Opens the records with a clock and processes of the caller's choice.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_in(url: &StoreUrl, surroundings: Surroundings) -> Result<Self, StoreError> {
        make_folder(url)?;
        let pool = connect(url).await.map_err(|source| StoreError::Open {
            url: url.to_string(),
            source,
        })?;
        migrate(&pool).await.map_err(|source| StoreError::Migrate {
            url: url.to_string(),
            source,
        })?;
        Ok(Self {
            pool,
            surroundings,
            url: url.clone(),
        })
    }

    /// Where the records are.
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Now, in microseconds since 1970 (UTC), by the store's clock.
    pub fn now_micros(&self) -> i64 {
        self.surroundings.now_micros()
    }

    /// Waits for what is under way and closes all connections. SQLite then folds its write-ahead
    /// log into the one file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn make_folder(url: &StoreUrl) -> Result<(), StoreError> {
    match url.file().and_then(std::path::Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder {
                path: folder.to_owned(),
                source,
            })
        }
        _ => Ok(()),
    }
}

async fn connect(url: &StoreUrl) -> Result<AnyPool, sqlx::Error> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let options = AnyConnectOptions::from_str(&url.driver_url())?;
    match url.0 {
        // One connection: SQLite has one writer anyhow, and a memory database one owner.
        Place::File(_) | Place::Memory => {
            let pool = AnyPoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_with(options)
                .await?;
            // Not in `after_connect`: the pool would try a broken file again for half a minute.
            pool.execute(SQLITE_SETTINGS).await?;
            Ok(pool)
        }
        Place::Postgres(_) => {
            // The pool would knock for ten seconds at a door where nobody lives.
            AnyConnection::connect_with(&options).await?.close().await?;
            AnyPoolOptions::new()
                .max_connections(4)
                .acquire_timeout(Duration::from_secs(10))
                .connect_with(options)
                .await
        }
    }
}

/// Readers never wait for the writer, a commit costs no fsync of its own (a power cut may take the
/// last records with it, never the file), and a second process waits instead of failing.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; \
                               PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;";

/// Runs what is missing of the migrations. Two processes may open a new database at once: SQLite
/// has no lock around migrations, so the one that loses runs again and finds nothing to do.
async fn migrate(pool: &AnyPool) -> Result<(), MigrateError> {
    let migrator = migrator();
    let mut attempt = 1;
    loop {
        match migrator.run(pool).await {
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
                if attempt < MIGRATION_ATTEMPTS_MAX =>
            {
                tokio::time::sleep(MIGRATION_PAUSE).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let name = Cow::Borrowed(*name);
            Migration::new(
                *version,
                name,
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // The database may be shared with an application that migrates with the same library.
    migrator.dangerous_set_table_name("tidegate_migrations");
    migrator
}
