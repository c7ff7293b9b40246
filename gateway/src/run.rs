//! The gateway's life: both ports, the reload of its file, the flags' following of the log.
//!
//! It is a library function, so that `banyan up` runs the same gateway inside its own process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chassis::net::{self, BindError};
use chassis::tasks::Supervisor;
use chassis::{Health, Metrics, Shutdown};
use event_store::Log;
use tokio::net::TcpListener;

use crate::admin::{self, Admin};
use crate::config::Config;
use crate::control::{self, Control};
use crate::flag::StateFileError;
use crate::reload;
use crate::server::{DataPlane, Handed, Listeners, StartError};

/// The bound sockets of both ports.
#[derive(Debug)]
pub struct Ports {
    data: Listeners,
    admin: TcpListener,
}

/// A gateway that serves until its shutdown begins. Keep it until then: dropped, it no longer
/// answers on the admin port or follows its file.
#[derive(Debug)]
pub struct Running {
    control: Arc<Control>,
    data: Arc<DataPlane>,
    admin: SocketAddr,
    tasks: Supervisor,
}

/// The gateway could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state file.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The data port's workers.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The admin port's socket.
    #[error("the admin port has no address: {0}")]
    Admin(#[from] std::io::Error),
}

impl Ports {
    /// Takes the sockets that were handed to this process (`LISTEN_FDS`), and binds `listen` and
    /// `admin_listen` where there are none, before anything else is started.
    ///
    /// # Errors
    /// A taken port, with the setting that names it; a socket that is none to listen on.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let wrong = |error| BindError::new(config.listen, "listen", error);
        let Handed { data, admin } = Handed::take().map_err(wrong)?;
        let data = if data.is_empty() {
            Listeners::bind(config.listen)?
        } else {
            let data = Listeners::handed(data).map_err(wrong)?;
            tracing::info!(address = %data.address(), "the data port's socket was handed over; `listen` is not used");
            data
        };
        let admin = match admin {
            None => net::bind(config.admin_listen, "admin_listen").await?,
            Some(admin) => TcpListener::from_std(admin)
                .map_err(|error| BindError::new(config.admin_listen, "admin_listen", error))?,
        };
        Ok(Self { data, admin })
    }
}

/// Starts a gateway on its ports. `file` is watched for edits; `log` is a log that this process has
/// open already. It ends with `shutdown`: then wait for [`Running::ended`].
///
/// # Errors
/// What keeps it from serving.
pub async fn run(
    config: Config,
    file: Option<PathBuf>,
    log: Option<Log>,
    ports: Ports,
    shutdown: &Shutdown,
) -> Result<Running, RunError> {
    let control = Arc::new(Control::open(config, log).await?);
    let data = DataPlane::start(Arc::clone(&control), ports.data, shutdown)?;
    let data = Arc::new(data);
    let admin_address = ports.admin.local_addr()?;
    let metrics = Metrics::new();
    metrics.register(|registry| {
        registry.register_collector(Box::new(Arc::clone(data.stats())));
        registry.register_collector(Box::new(Arc::clone(data.upstreams())));
    });
    let router = admin::router(Admin {
        control: Arc::clone(&control),
        stats: Arc::clone(data.stats()),
        upstreams: Arc::clone(data.upstreams()),
        cookies: Arc::clone(data.cookies()),
        identify: Arc::new(data.identify()),
        health: Health::new(shutdown.clone()),
        metrics,
    })
    .await;
    let mut tasks = Supervisor::new(shutdown.clone());
    let admin = chassis::http::serve(ports.admin, router, shutdown.clone());
    tasks.spawn("admin", async move { Ok(admin.await?) });
    let (flags, end) = (control.flags().clone(), shutdown.clone());
    tasks.spawn("flags", async move {
        flags.follow(control::now, end).await;
        Ok(())
    });
    if let Some(file) = file {
        let (watched, followed) = (Arc::clone(&control), Arc::clone(&data));
        let end = shutdown.clone();
        tasks.spawn("reload", async move {
            let follow = move |config: &Config, step| followed.follow(config, step);
            reload::watch(file, watched, follow, end).await;
            Ok(())
        });
    }
    let workers = Arc::clone(&data);
    let end = shutdown.clone();
    tasks.spawn("workers", async move {
        end.cancelled().await;
        workers.join().await;
        Ok(())
    });
    Ok(Running {
        control,
        data,
        admin: admin_address,
        tasks,
    })
}

impl Running {
    /// Where clients connect.
    pub fn data_address(&self) -> SocketAddr {
        self.data.address()
    }

    /// Where the admin API is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The configuration, table and flags.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The data plane: counts and upstreams.
    pub fn data(&self) -> &Arc<DataPlane> {
        &self.data
    }

    /// Completes when everything has drained and ended after the shutdown.
    ///
    /// # Errors
    /// The first part that failed before the shutdown began.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.tasks.join().await
    }
}
