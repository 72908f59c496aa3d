//! What names mean by convention: well-known exporters, words in names, and labels that name a service.

use crate::finding::Direction;
use crate::monitor::{MetricKind, Unit};

/// A signal of a well-known exporter, asked for in the way that is right for it.
pub(super) struct Signal {
    pub name: &'static str,
    /// The metrics it needs; the first one's labels decide how it is grouped.
    pub needs: &'static [&'static str],
    /// `BY` stands for the labels to group by, `RATE` for the range of a rate.
    pub query: &'static str,
    pub metric: MetricKind,
    pub unit: Unit,
    pub direction: Option<Direction>,
}

const UP: Option<Direction> = Some(Direction::Up);
const DOWN: Option<Direction> = Some(Direction::Down);

macro_rules! signals {
    ($($name:literal [$($needs:literal),+] $metric:ident $unit:ident $direction:ident $query:literal;)+) => {
        &[$(Signal { name: $name, needs: &[$($needs),+], query: $query, metric: MetricKind::$metric, unit: Unit::$unit, direction: $direction }),+]
    };
}

const BOTH: Option<Direction> = None;

/// Used, saturated, failing: what an operator of these systems looks at first. Shares are taken of the fullest
/// member (`max`), for one full disk is not helped by an empty one; amounts are summed.
#[rustfmt::skip]
pub(super) const SIGNALS: &[Signal] = signals! {
    "target-availability" ["up"] Availability Ratio DOWN "avg by (BY) (up)";
    "probe-success" ["probe_success"] Availability Ratio DOWN "avg by (BY) (probe_success)";
    "probe-duration" ["probe_duration_seconds"] Latency Seconds UP "max by (BY) (probe_duration_seconds)";

    "host-cpu-utilisation" ["node_cpu_seconds_total"] Cpu Ratio UP "1 - avg by (BY) (rate(node_cpu_seconds_total{mode=\"idle\"}[RATE]))";
    "host-load" ["node_load1"] Cpu None UP "max by (BY) (node_load1)";
    "host-memory-utilisation" ["node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"] Memory Ratio UP "max by (BY) (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)";
    "host-filesystem-utilisation" ["node_filesystem_avail_bytes", "node_filesystem_size_bytes"] Disk Ratio UP "max by (BY) (1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|overlay|squashfs|ramfs\"} / (node_filesystem_size_bytes > 0))";
    "host-inode-utilisation" ["node_filesystem_files_free", "node_filesystem_files"] Disk Ratio UP "max by (BY) (1 - node_filesystem_files_free{fstype!~\"tmpfs|overlay|squashfs|ramfs\"} / (node_filesystem_files > 0))";
    "host-disk-utilisation" ["node_disk_io_time_seconds_total"] Disk Ratio UP "max by (BY) (rate(node_disk_io_time_seconds_total[RATE]))";
    "host-disk-read" ["node_disk_read_bytes_total"] Disk Bytes BOTH "sum by (BY) (rate(node_disk_read_bytes_total[RATE]))";
    "host-disk-written" ["node_disk_written_bytes_total"] Disk Bytes BOTH "sum by (BY) (rate(node_disk_written_bytes_total[RATE]))";
    "host-network-received" ["node_network_receive_bytes_total"] Network Bytes BOTH "sum by (BY) (rate(node_network_receive_bytes_total{device!~\"lo|veth.*\"}[RATE]))";
    "host-network-sent" ["node_network_transmit_bytes_total"] Network Bytes BOTH "sum by (BY) (rate(node_network_transmit_bytes_total{device!~\"lo|veth.*\"}[RATE]))";
    "host-network-dropped" ["node_network_receive_drop_total", "node_network_transmit_drop_total"] Network PerSecond UP "sum by (BY) (rate(node_network_receive_drop_total[RATE])) + sum by (BY) (rate(node_network_transmit_drop_total[RATE]))";
    "host-file-descriptors" ["node_filefd_allocated", "node_filefd_maximum"] Saturation Ratio UP "max by (BY) (node_filefd_allocated / (node_filefd_maximum > 0))";
    "host-conntrack" ["node_nf_conntrack_entries", "node_nf_conntrack_entries_limit"] Network Ratio UP "max by (BY) (node_nf_conntrack_entries / (node_nf_conntrack_entries_limit > 0))";
    "host-cpu-pressure" ["node_pressure_cpu_waiting_seconds_total"] Cpu Ratio UP "max by (BY) (rate(node_pressure_cpu_waiting_seconds_total[RATE]))";
    "host-memory-pressure" ["node_pressure_memory_waiting_seconds_total"] Memory Ratio UP "max by (BY) (rate(node_pressure_memory_waiting_seconds_total[RATE]))";
    "host-io-pressure" ["node_pressure_io_waiting_seconds_total"] Disk Ratio UP "max by (BY) (rate(node_pressure_io_waiting_seconds_total[RATE]))";

    "container-cpu" ["container_cpu_usage_seconds_total"] Cpu None BOTH "sum by (BY) (rate(container_cpu_usage_seconds_total{container!=\"\"}[RATE]))";
    "container-cpu-throttled" ["container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"] Cpu Ratio UP "sum by (BY) (rate(container_cpu_cfs_throttled_periods_total{container!=\"\"}[RATE])) / (sum by (BY) (rate(container_cpu_cfs_periods_total{container!=\"\"}[RATE])) > 0)";
    "container-memory" ["container_memory_working_set_bytes"] Memory Bytes UP "sum by (BY) (container_memory_working_set_bytes{container!=\"\"})";
    "container-memory-utilisation" ["container_memory_working_set_bytes", "container_spec_memory_limit_bytes"] Memory Ratio UP "sum by (BY) (container_memory_working_set_bytes{container!=\"\"}) / (sum by (BY) (container_spec_memory_limit_bytes{container!=\"\"}) > 0)";
    "container-network-received" ["container_network_receive_bytes_total"] Network Bytes BOTH "sum by (BY) (rate(container_network_receive_bytes_total[RATE]))";
    "container-network-sent" ["container_network_transmit_bytes_total"] Network Bytes BOTH "sum by (BY) (rate(container_network_transmit_bytes_total[RATE]))";
    "container-restarts" ["kube_pod_container_status_restarts_total"] Errors PerSecond UP "sum by (BY) (rate(kube_pod_container_status_restarts_total[RATE]))";
    "deployment-replicas-available" ["kube_deployment_status_replicas_available", "kube_deployment_spec_replicas"] Availability Ratio DOWN "sum by (BY) (kube_deployment_status_replicas_available) / (sum by (BY) (kube_deployment_spec_replicas) > 0)";
    "pods-pending" ["kube_pod_status_phase"] Queue None UP "sum by (BY) (kube_pod_status_phase{phase=\"Pending\"})";
    "volume-utilisation" ["kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes"] Disk Ratio UP "max by (BY) (kubelet_volume_stats_used_bytes / (kubelet_volume_stats_capacity_bytes > 0))";

    "process-cpu" ["process_cpu_seconds_total"] Cpu None BOTH "sum by (BY) (rate(process_cpu_seconds_total[RATE]))";
    "process-memory" ["process_resident_memory_bytes"] Memory Bytes UP "sum by (BY) (process_resident_memory_bytes)";
    "process-file-descriptors" ["process_open_fds", "process_max_fds"] Saturation Ratio UP "max by (BY) (process_open_fds / (process_max_fds > 0))";
    "jvm-heap-utilisation" ["jvm_memory_used_bytes", "jvm_memory_max_bytes"] Memory Ratio UP "sum by (BY) (jvm_memory_used_bytes{area=\"heap\"}) / (sum by (BY) (jvm_memory_max_bytes{area=\"heap\"} > 0) > 0)";
    "jvm-gc-time" ["jvm_gc_pause_seconds_sum"] Latency Ratio UP "sum by (BY) (rate(jvm_gc_pause_seconds_sum[RATE]))";
    "jvm-threads" ["jvm_threads_live_threads"] Saturation None UP "sum by (BY) (jvm_threads_live_threads)";

    "tomcat-threads" ["tomcat_threads_busy_threads", "tomcat_threads_config_max_threads"] Saturation Ratio UP "max by (BY) (tomcat_threads_busy_threads / (tomcat_threads_config_max_threads > 0))";

    "redis-memory" ["redis_memory_used_bytes"] Memory Bytes UP "sum by (BY) (redis_memory_used_bytes)";
    "redis-commands" ["redis_commands_processed_total"] Traffic PerSecond BOTH "sum by (BY) (rate(redis_commands_processed_total[RATE]))";
    "redis-clients" ["redis_connected_clients"] Saturation None UP "sum by (BY) (redis_connected_clients)";
    "redis-clients-blocked" ["redis_blocked_clients"] Saturation None UP "sum by (BY) (redis_blocked_clients)";
    "redis-keys-evicted" ["redis_evicted_keys_total"] Memory PerSecond UP "sum by (BY) (rate(redis_evicted_keys_total[RATE]))";
    "redis-hit-ratio" ["redis_keyspace_hits_total", "redis_keyspace_misses_total"] Other Ratio DOWN "sum by (BY) (rate(redis_keyspace_hits_total[RATE])) / ((sum by (BY) (rate(redis_keyspace_hits_total[RATE])) + sum by (BY) (rate(redis_keyspace_misses_total[RATE]))) > 0)";

    "postgres-connections" ["pg_stat_database_numbackends", "pg_settings_max_connections"] Saturation Ratio UP "sum by (BY) (pg_stat_database_numbackends) / (max by (BY) (pg_settings_max_connections) > 0)";
    "postgres-transactions" ["pg_stat_database_xact_commit"] Traffic PerSecond BOTH "sum by (BY) (rate(pg_stat_database_xact_commit[RATE]))";
    "postgres-rollback-ratio" ["pg_stat_database_xact_rollback", "pg_stat_database_xact_commit"] Errors Ratio UP "sum by (BY) (rate(pg_stat_database_xact_rollback[RATE])) / ((sum by (BY) (rate(pg_stat_database_xact_rollback[RATE])) + sum by (BY) (rate(pg_stat_database_xact_commit[RATE]))) > 0)";
    "postgres-deadlocks" ["pg_stat_database_deadlocks"] Errors PerSecond UP "sum by (BY) (rate(pg_stat_database_deadlocks[RATE]))";
    "postgres-replication-lag" ["pg_replication_lag_seconds"] Queue Seconds UP "max by (BY) (pg_replication_lag_seconds)";
    "mysql-connections" ["mysql_global_status_threads_connected", "mysql_global_variables_max_connections"] Saturation Ratio UP "max by (BY) (mysql_global_status_threads_connected / (mysql_global_variables_max_connections > 0))";
    "mysql-queries" ["mysql_global_status_queries"] Traffic PerSecond BOTH "sum by (BY) (rate(mysql_global_status_queries[RATE]))";
    "mysql-slow-queries" ["mysql_global_status_slow_queries"] Latency PerSecond UP "sum by (BY) (rate(mysql_global_status_slow_queries[RATE]))";

    "kafka-consumer-lag" ["kafka_consumergroup_lag"] Queue None UP "sum by (BY) (kafka_consumergroup_lag)";
    "kafka-produced" ["kafka_topic_partition_current_offset"] Traffic PerSecond BOTH "sum by (BY) (rate(kafka_topic_partition_current_offset[RATE]))";
    "kafka-under-replicated" ["kafka_topic_partition_under_replicated_partition"] Availability None UP "sum by (BY) (kafka_topic_partition_under_replicated_partition)";
    "rabbitmq-messages-ready" ["rabbitmq_queue_messages_ready"] Queue None UP "sum by (BY) (rabbitmq_queue_messages_ready)";
    "rabbitmq-messages-unacked" ["rabbitmq_queue_messages_unacked"] Queue None UP "sum by (BY) (rabbitmq_queue_messages_unacked)";
    "rabbitmq-published" ["rabbitmq_global_messages_received_total"] Traffic PerSecond BOTH "sum by (BY) (rate(rabbitmq_global_messages_received_total[RATE]))";
    "rabbitmq-memory-utilisation" ["rabbitmq_process_resident_memory_bytes", "rabbitmq_resident_memory_limit_bytes"] Memory Ratio UP "max by (BY) (rabbitmq_process_resident_memory_bytes / (rabbitmq_resident_memory_limit_bytes > 0))";
    "rabbitmq-file-descriptors" ["rabbitmq_process_open_fds", "rabbitmq_process_max_fds"] Saturation Ratio UP "max by (BY) (rabbitmq_process_open_fds / (rabbitmq_process_max_fds > 0))";

    "gpu-utilisation" ["DCGM_FI_DEV_GPU_UTIL"] Gpu Ratio BOTH "avg by (BY) (DCGM_FI_DEV_GPU_UTIL) / 100";
    "gpu-memory-utilisation" ["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"] Gpu Ratio BOTH "sum by (BY) (DCGM_FI_DEV_FB_USED) / ((sum by (BY) (DCGM_FI_DEV_FB_USED) + sum by (BY) (DCGM_FI_DEV_FB_FREE)) > 0)";
    "gpu-temperature" ["DCGM_FI_DEV_GPU_TEMP"] Gpu None UP "max by (BY) (DCGM_FI_DEV_GPU_TEMP)";
    "gpu-power" ["DCGM_FI_DEV_POWER_USAGE"] Gpu None BOTH "sum by (BY) (DCGM_FI_DEV_POWER_USAGE)";
    "gpu-errors" ["DCGM_FI_DEV_XID_ERRORS"] Gpu None UP "max by (BY) (DCGM_FI_DEV_XID_ERRORS)";
};

/// Exporters of which only the signals above are watched: the rest is hundreds of details.
pub(super) const EXPORTERS: &[&str] = &[
    "node_",
    "windows_",
    "container_",
    "machine_",
    "cadvisor_",
    "kube_",
    "kubelet_",
    "process_",
    "jvm_",
    "redis_",
    "pg_",
    "postgres_exporter_",
    "mysql_",
    "mysqld_",
    "kafka_",
    "rabbitmq_",
    "erlang_",
    "DCGM_",
    "probe_",
    "python_",
    "nodejs_",
    "dotnet_",
];

/// Names that describe a program or the monitoring itself, and why they are left out.
pub(super) const INTERNALS: &[(&str, &str)] = &[
    ("go_", "internals of the Go runtime"),
    ("prometheus_", "internals of Prometheus"),
    ("promhttp_", "internals of Prometheus"),
    ("scrape_", "internals of Prometheus"),
    ("net_conntrack_", "internals of Prometheus"),
    ("alertmanager_", "internals of Alertmanager"),
    ("bellwether_", "Bellwether's own metrics"),
    ("ALERTS", "alerts, which reach Bellwether by its webhook"),
];

/// Labels that name a service, best first.
const SERVICE: &[&str] = &[
    "service",
    "service_name",
    "app",
    "app_kubernetes_io_name",
    "application",
    "deployment",
    "statefulset",
    "daemonset",
    "workload",
    "component",
    "container",
    "job",
    "namespace",
    "instance",
];
/// For hosts and their devices it is the host that matters; a `service` there is the exporter's own.
const HOST: &[&str] = &["node", "nodename", "Hostname", "hostname", "host", "instance", "job"];
/// For objects of Kubernetes, `service` and `job` are those of the exporter that tells of them.
const OBJECT: &[&str] =
    &["deployment", "statefulset", "daemonset", "container", "persistentvolumeclaim", "namespace", "node", "pod", "job"];

/// The labels that may name the service of the series of `metric`, best first.
pub(super) fn service_labels(metric: &str) -> &'static [&'static str] {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| metric.starts_with(prefix));
    if metric == "up" {
        // Its other labels are the target's; how many targets of a job answer is the question.
        &["job"]
    } else if begins(&["node_", "windows_", "DCGM_", "machine_"]) {
        HOST
    } else if begins(&["kube_", "container_", "kubelet_volume"]) {
        OBJECT
    } else {
        SERVICE
    }
}

/// Labels within a service whose values must not be mixed up: one full queue is not helped by an empty one.
pub(super) fn dimensions(metric: &str) -> &'static [&'static str] {
    if metric.starts_with("node_filesystem_") {
        &["mountpoint"]
    } else if metric.starts_with("DCGM_") {
        &["gpu"]
    } else if metric.contains("consumergroup") {
        &["consumergroup"]
    } else if metric.contains("queue") {
        &["queue"]
    } else if metric.starts_with("pg_stat_database_xact") || metric.starts_with("pg_stat_database_deadlocks") {
        &["datname"]
    } else {
        &[]
    }
}

/// Labels that tell how a request ended.
pub(super) const STATUS: &[&str] = &[
    "code",
    "status",
    "status_code",
    "grpc_code",
    "http_status_code",
    "http_response_status_code",
    "response_code",
    "rpc_grpc_status_code",
    "status_class",
    "outcome",
    "result",
    "success",
];

/// Words for a failure, in label values and in names.
pub(super) const FAILURES: &[&str] = &[
    "error",
    "errors",
    "fail",
    "failed",
    "failure",
    "failures",
    "exception",
    "exceptions",
    "rejected",
    "rejections",
    "dropped",
    "drops",
    "drop",
    "timeout",
    "timeouts",
    "aborted",
    "aborts",
    "panics",
    "refused",
    "evicted",
    "evictions",
    "deadlocks",
    "5xx",
    "errs",
    "retries",
    "retransmits",
    "lost",
    "unavailable",
    "crashed",
    "crashes",
    "restarts",
    "oom",
];

/// What a word in a name says of what is measured; earlier lines win.
pub(super) const WORDS: &[(MetricKind, &[&str])] = &[
    (MetricKind::Gpu, &["gpu", "cuda", "vram"]),
    (
        MetricKind::Queue,
        &["queue", "queued", "lag", "pending", "backlog", "waiting", "unacked", "enqueued", "inflight", "flight", "progress"],
    ),
    (MetricKind::Cpu, &["cpu", "throttled", "load1", "load5", "load15"]),
    (MetricKind::Memory, &["memory", "mem", "heap", "rss", "resident"]),
    (MetricKind::Disk, &["disk", "filesystem", "volume", "storage", "wal", "inodes", "fsync"]),
    (
        MetricKind::Network,
        &["network", "net", "tcp", "udp", "receive", "received", "transmit", "transmitted", "sent", "packets", "bandwidth"],
    ),
    (
        MetricKind::Saturation,
        &[
            "pool",
            "threads",
            "connections",
            "fds",
            "descriptors",
            "workers",
            "busy",
            "utilization",
            "utilisation",
            "saturation",
            "sessions",
            "goroutines",
            "slots",
            "permits",
            "active",
            "usage",
        ],
    ),
    (MetricKind::Latency, &["duration", "latency", "seconds", "milliseconds", "delay", "elapsed", "time"]),
    (MetricKind::Availability, &["available", "healthy", "replicas", "ready", "alive"]),
    (
        MetricKind::Traffic,
        &[
            "requests",
            "request",
            "queries",
            "calls",
            "messages",
            "jobs",
            "operations",
            "ops",
            "commands",
            "transactions",
            "events",
            "orders",
            "hits",
            "reads",
            "writes",
            "logins",
            "processed",
            "handled",
            "started",
            "completed",
            "published",
            "consumed",
            "rps",
            "total",
        ],
    ),
];

/// Words for how much of something is in use, and for how much there is.
pub(super) const IN_USE: &[&str] = &["in_use", "used", "active", "open", "usage", "busy", "current", "allocated", "acquired", "borrowed"];
/// See [`IN_USE`].
pub(super) const LIMIT: &[&str] = &["max", "limit", "capacity", "total", "size", "maximum"];

/// Which direction is trouble: more errors, longer waits and fuller things, but less of what should be there. Traffic
/// is trouble in both.
pub(super) fn direction(metric: MetricKind) -> Option<Direction> {
    match metric {
        MetricKind::Errors | MetricKind::Latency | MetricKind::Queue | MetricKind::Saturation | MetricKind::Memory | MetricKind::Disk => UP,
        MetricKind::Availability => DOWN,
        MetricKind::Traffic | MetricKind::Cpu | MetricKind::Network | MetricKind::Gpu | MetricKind::Other => None,
    }
}

/// What fills up slowly: when it is full can be told ahead.
pub(super) const FILLS: &[&str] =
    &["host-filesystem-utilisation", "host-inode-utilisation", "host-file-descriptors", "volume-utilisation", "process-file-descriptors"];

/// Words for what a model takes in and gives out: its distribution is watched for drift.
pub(super) const MODEL_DATA: &[&str] =
    &["feature", "features", "score", "scores", "prediction", "predictions", "predicted", "probability", "confidence", "logit"];

/// Labels that tell the features and outputs of models apart.
pub(super) const FEATURE_LABELS: &[&str] =
    &["model", "model_name", "model_version", "feature", "feature_name", "output", "class", "predicted_class"];

/// Which monitors are kept first when there are too many.
pub(super) fn rank(metric: MetricKind) -> usize {
    use MetricKind as K;
    let order = [
        K::Availability,
        K::Errors,
        K::Latency,
        K::Traffic,
        K::Saturation,
        K::Queue,
        K::Memory,
        K::Cpu,
        K::Disk,
        K::Gpu,
        K::Network,
        K::Other,
    ];
    order.iter().position(|kind| *kind == metric).unwrap_or(order.len())
}
