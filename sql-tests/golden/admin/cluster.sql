-- Administration of the cluster, on one node. Nothing of it is PostgreSQL's.

-- differs: ScratchBird's own
SELECT node_name, roles, state, epoch, version, is_leader, state_change_reason FROM sys.nodes;
----
node_name	roles	state	epoch	version	is_leader	state_change_reason
node-1	{VOTER,SHARD_OWNER,COORDINATOR}	ENABLED	1	0.1.0	t	joined

-- differs: ScratchBird's own
SELECT count(*) FROM sys.cluster_members JOIN sys.nodes USING (node_uuid);
----
count
1

-- differs: ScratchBird's own
SHOW CLUSTER SHARDS;
----
ERROR 0A000: SHOW CLUSTER SHARDS is not supported yet

-- differs: ScratchBird's own
SHOW CLUSTER CERTIFICATES;
----
serial	kind	subject	node_uuid	fingerprint	issuer	not_before	not_after	issued_at	issued_by	status
e0490f3b7058725d3389ac3027dfbcfc	node	node-1	01b8dac5-b400-7ead-b36a-5998c050ab9a	6e11885e89c5b8d5f2dad91c17dfbbc3de656b19be68ecfd01f67daa90ca0aa4	b3539f3f3226ecdf934c2c821050686dcb77f9129c4f2613777dc53dec84bd16	1970-01-01 00:00:00+00	2255-03-14 16:00:00+00	2030-01-01 00:00:00+00	genesis	ACTIVE
SHOW

-- differs: ScratchBird's own
SHOW CLUSTER NODE;
----
ERROR 42601: syntax error at or near "NODE"

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET degraded_mode.max_duration TO '1 hour';
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET degraded_mode.max_duration = 90 M;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET observability.trace_sample_rate = 0.50;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.sync TO QUORUM;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET audit.audit_all_queries = on;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET membership.removal_grace = off;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET cluster.min_node_version = '0.1.0';
----
ALTER CLUSTER

-- differs: ScratchBird's own
SELECT name, value, default_value, unit, source FROM sys.settings WHERE source = 'cluster';
----
name	value	default_value	unit	source
audit.audit_all_queries	on	off	\N	cluster
cluster.min_node_version	0.1.0	0.0.0	\N	cluster
degraded_mode.max_duration	5400	3600	s	cluster
observability.trace_sample_rate	0.5	0.1	\N	cluster
replication.factor	3	2	\N	cluster
replication.sync	quorum	async	\N	cluster

-- differs: ScratchBird's own
SHOW replication.factor;
----
replication.factor
3
SHOW

-- differs: ScratchBird's own
SHOW Degraded_Mode.Max_Duration;
----
degraded_mode.max_duration
90min
SHOW

-- differs: ScratchBird's own
SELECT epoch_number, state, administrators, description FROM sys.epochs;
----
epoch_number	state	administrators	description
1	SUPERSEDED	{genesis}	genesis
2	SUPERSEDED	{admin}	set replication.factor = 3
3	SUPERSEDED	{admin}	set degraded_mode.max_duration = 1h
4	SUPERSEDED	{admin}	set degraded_mode.max_duration = 90min
5	SUPERSEDED	{admin}	set observability.trace_sample_rate = 0.5
6	SUPERSEDED	{admin}	set replication.sync = quorum
7	SUPERSEDED	{admin}	set audit.audit_all_queries = on
8	SUPERSEDED	{admin}	set membership.removal_grace = 0
9	EFFECTIVE	{admin}	set cluster.min_node_version = 0.1.0

-- differs: ScratchBird's own
SELECT count(*) FROM sys.epochs a JOIN sys.epochs b ON b.previous_hash = a.hash AND b.epoch_number = a.epoch_number + 1;
----
count
8

-- differs: ScratchBird's own
ALTER CLUSTER RESET replication.factor;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.sync = DEFAULT;
----
ALTER CLUSTER

-- differs: ScratchBird's own
ALTER CLUSTER SET cluster.min_node_version = '0.0.9';
----
ERROR 55000: the least version of nodes never goes down
DETAIL: EPOCH_DOWNGRADE: upgrades are one way.

-- differs: ScratchBird's own
ALTER CLUSTER SET cluster.min_node_version = '9.0.0';
----
ERROR 55000: epoch 12 needs version 9.0.0, and a node has 0.1.0
DETAIL: INCOMPATIBLE_VERSION: the epoch was refused.

-- differs: ScratchBird's own
SELECT event_type, epoch_number, detail FROM sys.cluster_events WHERE event_type = 'EPOCH_REFUSED';
----
event_type	epoch_number	detail

-- differs: ScratchBird's own
SELECT name, value FROM sys.settings WHERE source = 'cluster';
----
name	value
audit.audit_all_queries	on
cluster.min_node_version	0.1.0
degraded_mode.max_duration	5400
observability.trace_sample_rate	0.5

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factors = 3;
----
ERROR 42704: unrecognized cluster setting "replication.factors"
HINT: Perhaps you meant "replication.factor".

-- differs: ScratchBird's own
ALTER CLUSTER RESET work_mem;
----
ERROR 42704: unrecognized cluster setting "work_mem"
HINT: It is a setting of sessions: use SET, ALTER ROLE or ALTER DATABASE.

-- differs: ScratchBird's own
ALTER CLUSTER SET x = 1;
----
ERROR 42704: unrecognized cluster setting "x"
HINT: SHOW CLUSTER SETTINGS lists them.

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 0;
----
ERROR 22023: invalid value for cluster setting "replication.factor": "0"
DETAIL: It takes a whole number from 1 to 7.

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = three;
----
ERROR 22023: invalid value for cluster setting "replication.factor": "three"
DETAIL: It takes a whole number from 1 to 7.

-- differs: ScratchBird's own
ALTER CLUSTER SET epoch.convergence_timeout = '2 days';
----
ERROR 22023: invalid value for cluster setting "epoch.convergence_timeout": "2 days"
DETAIL: It takes a duration from 1s to 1d, such as '90 s' or '1 hour'.

-- differs: ScratchBird's own
ALTER CLUSTER SET epoch.bytes_max = '1 parsec';
----
ERROR 22023: invalid value for cluster setting "epoch.bytes_max": "1 parsec"
DETAIL: It takes a size from 1MB to 100MB, such as '20MB'.

-- differs: ScratchBird's own
SET replication.factor = 3;
----
ERROR 55P02: parameter "replication.factor" cannot be changed by SET
DETAIL: It is a setting of the whole cluster.
HINT: Use ALTER CLUSTER SET replication.factor = ...

-- differs: ScratchBird's own
SET LOCAL replication.factor = 3;
----
WARNING: SET LOCAL can only be used in transaction blocks
ERROR 55P02: parameter "replication.factor" cannot be changed by SET
DETAIL: It is a setting of the whole cluster.
HINT: Use ALTER CLUSTER SET replication.factor = ...

-- differs: ScratchBird's own
ALTER SYSTEM SET replication.factor = 3;
----
ERROR 55P02: parameter "replication.factor" cannot be changed by ALTER SYSTEM
DETAIL: It is a setting of the whole cluster.
HINT: Use ALTER CLUSTER SET replication.factor = ...

-- differs: ScratchBird's own
ALTER SYSTEM SET work_mem = '1MB';
----
ERROR 0A000: ALTER SYSTEM is not supported yet

-- differs: ScratchBird's own
BEGIN;
----
BEGIN

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3;
----
ERROR 25001: ALTER CLUSTER cannot run inside a transaction block

-- differs: ScratchBird's own
ROLLBACK;
----
ROLLBACK

-- differs: ScratchBird's own
BEGIN;
----
BEGIN

-- differs: ScratchBird's own
SHOW CLUSTER SHARDS;
----
ERROR 0A000: SHOW CLUSTER SHARDS is not supported yet

-- differs: ScratchBird's own
ROLLBACK;
----
ROLLBACK

-- differs: ScratchBird's own
BEGIN;
----
BEGIN

-- differs: ScratchBird's own
SELECT count(*) FROM sys.nodes;
----
count
1

-- differs: ScratchBird's own
DISABLE NODE nowhere REASON 'x';
----
ERROR 25001: DISABLE NODE cannot run inside a transaction block

-- differs: ScratchBird's own
SHOW CLUSTER;
----
ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block

-- differs: ScratchBird's own
ROLLBACK;
----
ROLLBACK

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3; SELECT 1;
----
ERROR 25001: ALTER CLUSTER cannot run inside a transaction block

-- differs: ScratchBird's own
SELECT 1; ALTER CLUSTER SET replication.factor = 3;
----
?column?
1
ERROR 25001: ALTER CLUSTER cannot run inside a transaction block

-- differs: ScratchBird's own
SET default_transaction_read_only = on;
----
SET

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3;
----
ERROR 25006: cannot execute ALTER CLUSTER in a read-only transaction

-- differs: ScratchBird's own
SELECT create_join_token();
----
ERROR 25006: cannot execute create_join_token() in a read-only transaction

-- differs: ScratchBird's own
RESET default_transaction_read_only;
----
RESET

-- differs: ScratchBird's own
DISABLE NODE "node-1" REASON 'maintenance';
----
ERROR 55000: without node node-1 the reachable voters would be no quorum
DETAIL: NO_QUORUM: the cluster could not decide anything any more.
HINT: Bring other nodes back first.

-- differs: ScratchBird's own
DISABLE NODE "node-2" REASON 'maintenance';
----
ERROR 42704: node "node-2" does not exist
HINT: Perhaps you meant "node-1".

-- differs: ScratchBird's own
DISABLE NODE IF EXISTS elsewhere REASON 'maintenance';
----
NOTICE: node "elsewhere" does not exist, skipping
DISABLE NODE

-- differs: ScratchBird's own
ENABLE NODE "node-1";
----
ERROR 55000: node "node-1" is ENABLED
DETAIL: Only a node that is DISABLED or FAILED can be enabled.

-- differs: ScratchBird's own
ENABLE NODE IF EXISTS elsewhere;
----
NOTICE: node "elsewhere" does not exist, skipping
ENABLE NODE

-- differs: ScratchBird's own
REMOVE NODE "node-1" REASON 'x';
----
ERROR 55000: without node node-1 the reachable voters would be no quorum
DETAIL: NO_QUORUM: the cluster could not decide anything any more.
HINT: Bring other nodes back first.

-- differs: ScratchBird's own
ALTER CLUSTER REMOVE NODE "node-1" GRACEFUL FORCE;
----
ERROR 42601: GRACEFUL and FORCE exclude each other

-- differs: ScratchBird's own
ALTER CLUSTER REMOVE NODE "node-1" ALLOW DATA LOSS;
----
ERROR 42601: ALLOW DATA LOSS needs FORCE

-- differs: ScratchBird's own
ALTER CLUSTER REMOVE NODE elsewhere;
----
ERROR 42704: node "elsewhere" does not exist
HINT: SHOW CLUSTER NODES lists them.

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ROLES learner;
----
ERROR 55000: without node node-1 the reachable voters would be no quorum
DETAIL: NO_QUORUM: the cluster could not decide anything any more.
HINT: Bring other nodes back first.

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ROLES voter, learner;
----
ERROR 22023: a node is either a VOTER or a LEARNER, not both

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ROLES admin;
----
ERROR 22023: there is no role "admin" of nodes
HINT: Available roles: ENGINE, VOTER, LEARNER, SHARD_OWNER, COORDINATOR, SCHEDULER_AGENT, BACKUP_TARGET, MONITOR.

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ROLES engine, coordinator, scheduler_agent;
----
ALTER NODE

-- differs: ScratchBird's own
SELECT roles FROM sys.nodes;
----
roles
{VOTER,SHARD_OWNER,COORDINATOR,SCHEDULER_AGENT}

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ADDRESSES 'db1.example.com:6533';
----
ALTER NODE

-- differs: ScratchBird's own
SELECT addresses FROM sys.nodes;
----
addresses
{db1.example.com:6533,db1.example.com:7533,db1.example.com:5533}

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ADDRESSES '[::1]:6433', '[::1]:7000', '[::1]';
----
ALTER NODE

-- differs: ScratchBird's own
SELECT addresses FROM sys.nodes;
----
addresses
{[::1]:6433,[::1]:7000,[::1]:5433}

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ADDRESSES 'db1:65000';
----
ERROR 22023: invalid address: "db1:66000"
DETAIL: It follows from the first address; give all three: control, rpc, pg.

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ADDRESSES 'db 1:6433';
----
ERROR 22023: invalid address: "db 1:6433"
DETAIL: It takes host:port, or [address]:port for an IPv6 address.

-- differs: ScratchBird's own
ALTER NODE "node-1" SET ADDRESSES 'a', 'b', 'c', 'd';
----
ERROR 22023: a node has three addresses: control, rpc and pg, in this order

-- differs: ScratchBird's own
ALTER NODE elsewhere SET ADDRESSES 'a';
----
ERROR 42704: node "elsewhere" does not exist
HINT: SHOW CLUSTER NODES lists them.

-- differs: ScratchBird's own
ALTER CLUSTER FORCE CUTOVER TO EPOCH 1 DISABLING NODES ("node-1");
----
ERROR 55000: epoch 1 is not converging
DETAIL: The newest epoch is 14, and EFFECTIVE.

-- differs: ScratchBird's own
ALTER CLUSTER FORCE CUTOVER TO EPOCH 1 DISABLING NODES (elsewhere);
----
ERROR 42704: node "elsewhere" does not exist
HINT: SHOW CLUSTER NODES lists them.

-- differs: ScratchBird's own
ADD NODE 'no-uuid' WITH NAME n ADDRESSES 'h:1' ROLES engine CERTIFICATE 'x';
----
ERROR 22023: "no-uuid" is not a uuid

-- differs: ScratchBird's own
ADD NODE '0190a8c0-0000-7000-8000-000000000002' WITH NAME "node-1" ADDRESSES 'h:6433' ROLES engine CERTIFICATE 'x';
----
ERROR 42710: node "node-1" already exists

-- differs: ScratchBird's own
ADD NODE IF NOT EXISTS '0190a8c0-0000-7000-8000-000000000002' WITH NAME "node-1" ADDRESSES 'h:6433' ROLES engine CERTIFICATE 'x';
----
NOTICE: node "node-1" already exists, skipping
ADD NODE

-- differs: ScratchBird's own
ADD NODE '0190a8c0-0000-7000-8000-000000000002' WITH NAME "node 2" ADDRESSES 'h:6433' ROLES engine CERTIFICATE 'x';
----
ERROR 22023: invalid node name: "node 2"
DETAIL: It takes letters, digits, '-', '_' and '.', at most 63.

-- differs: ScratchBird's own
ADD NODE '0190a8c0-0000-7000-8000-000000000002' WITH NAME node2 ADDRESSES 'h:6433' ROLES engine CERTIFICATE 'x';
----
ERROR 22023: the certificate cannot be read
DETAIL: It takes PEM, or the base64 of a DER certificate.

-- differs: ScratchBird's own
ALTER CLUSTER ADD NODE 'db2;rm';
----
ERROR 22023: invalid address: "db2;rm"
DETAIL: It takes host:port, or [address]:port for an IPv6 address.

-- differs: ScratchBird's own
ALTER CLUSTER ADD NODE 'db2' WITH ROLES = ['voter', 'learner'];
----
ERROR 22023: a node is either a VOTER or a LEARNER, not both

-- differs: ScratchBird's own
ALTER NODE "node-1" DRAIN SHARDS;
----
ERROR 0A000: ALTER NODE DRAIN SHARDS is not supported yet

-- differs: ScratchBird's own
ALTER CLUSTER REBALANCE SHARDS WITH STRATEGY = 'LEAST_LOADED';
----
ERROR 0A000: ALTER CLUSTER REBALANCE SHARDS is not supported yet

-- differs: ScratchBird's own
ALTER CLUSTER CA POLICY CUTOVER TO NEW CA;
----
ERROR 55000: no rotation of the certificate authority is under way

-- differs: ScratchBird's own
ALTER CLUSTER CA POLICY BEGIN OVERLAP WITH NEW CA CERTIFICATE 'pem';
----
ERROR 55000: no node that keeps the private key of the certificate authority can be reached
DETAIL: NO_CA_KEY: the key is that of CA b3539f3f3226ecdf934c2c821050686dcb77f9129c4f2613777dc53dec84bd16.
HINT: Start the node that keeps it, bring the key back from its shares (RECOVER CA KEY), or exchange the CA for one made by CREATE CA ON NODE.

-- differs: ScratchBird's own
ALTER CLUSTER CA POLICY EMERGENCY REVOKE CA 'fp' REPLACE WITH 'pem';
----
ERROR 42704: certificate authority "fp" is not trusted
HINT: sys.certificate_authorities lists the fingerprints.

-- differs: ScratchBird's own
ROTATE CA;
----
ERROR 55000: no node that keeps the private key of the certificate authority can be reached
DETAIL: NO_CA_KEY: the key is that of CA b3539f3f3226ecdf934c2c821050686dcb77f9129c4f2613777dc53dec84bd16.
HINT: Start the node that keeps it, bring the key back from its shares (RECOVER CA KEY), or exchange the CA for one made by CREATE CA ON NODE.

-- differs: ScratchBird's own
REVOKE CERTIFICATE 'serial';
----
ERROR 22023: "serial" is no serial number
HINT: It is hexadecimal: sys.certificates lists them.

-- differs: ScratchBird's own
PUBLISH SECURITY BUNDLE VERSION 2;
----
ERROR 55000: no draft of a security bundle is open
DETAIL: BUNDLE_NO_DRAFT: rules of the bundle are made in a draft, and take effect when it is published.
HINT: CREATE SECURITY BUNDLE opens one.

-- differs: ScratchBird's own
ALTER SHARD s MOVE TO NODE b;
----
ERROR 0A000: ALTER SHARD is not supported yet

-- differs: ScratchBird's own
BACKUP CLUSTER TO t;
----
ERROR 0A000: BACKUP CLUSTER is not supported yet

-- differs: ScratchBird's own
EXECUTE JOB j;
----
ERROR 0A000: EXECUTE JOB is not supported yet

-- differs: ScratchBird's own
SHOW JOBS;
----
ERROR 0A000: SHOW JOBS is not supported yet

-- differs: ScratchBird's own
SHOW SHARD MAP;
----
ERROR 0A000: SHOW SHARD MAP is not supported yet

-- differs: ScratchBird's own
SHOW REPLICATION LAG;
----
ERROR 0A000: SHOW REPLICATION LAG is not supported yet

-- differs: ScratchBird's own
SELECT length(create_join_token()) > 200;
----
?column?
t

-- differs: ScratchBird's own
SELECT a = b, a = c FROM (SELECT create_join_token() a, create_join_token() b, create_join_token('2 hours') c) t;
----
?column?	?column?
t	f

-- differs: ScratchBird's own
SELECT length(create_join_token('2 hours', array['learner', 'monitor'])) > 200;
----
?column?
t

-- differs: ScratchBird's own
SELECT length(create_join_token(roles => '{engine}')) > 200;
----
?column?
t

-- differs: ScratchBird's own
SELECT create_join_token('31 days');
----
ERROR 22023: a join token is valid for 1 second at least and 30 days at most

-- differs: ScratchBird's own
SELECT create_join_token('1 hour', '{boss}');
----
ERROR 22023: there is no role "boss" of nodes
HINT: Available roles: ENGINE, VOTER, LEARNER, SHARD_OWNER, COORDINATOR, SCHEDULER_AGENT, BACKUP_TARGET, MONITOR.

-- differs: ScratchBird's own
SELECT create_join_token('1 hour', array[null]);
----
ERROR 22004: roles of a node are not null

-- differs: ScratchBird's own
SELECT count(DISTINCT create_join_token()) FROM generate_series(1, 5);
----
count
1

-- differs: ScratchBird's own
CREATE ROLE bob;
----
CREATE ROLE

-- differs: ScratchBird's own
GRANT CLUSTER_CONFIG_ADMIN ON CLUSTER TO bob;
----
GRANT

-- differs: ScratchBird's own
SET ROLE bob;
----
SET

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3;
----
ALTER CLUSTER

-- differs: ScratchBird's own
DISABLE NODE elsewhere REASON 'x';
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_MEMBERSHIP_ADMIN privilege.

-- differs: ScratchBird's own
ALTER CLUSTER ADD NODE 'db2';
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_MEMBERSHIP_ADMIN privilege.

-- differs: ScratchBird's own
SELECT create_join_token();
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_MEMBERSHIP_ADMIN privilege.

-- differs: ScratchBird's own
SHOW CLUSTER SETTINGS extra;
----
ERROR 42601: syntax error at or near "extra"

-- differs: ScratchBird's own
SELECT node_name FROM sys.nodes;
----
node_name
node-1

-- differs: ScratchBird's own
INSERT INTO sys.nodes DEFAULT VALUES;
----
ERROR 42501: permission denied: "nodes" is a system catalog

-- differs: ScratchBird's own
RESET ROLE;
----
RESET

-- differs: ScratchBird's own
REVOKE CLUSTER_CONFIG_ADMIN ON CLUSTER FROM bob;
----
REVOKE

-- differs: ScratchBird's own
GRANT CLUSTER_MEMBERSHIP_ADMIN ON CLUSTER TO bob;
----
GRANT

-- differs: ScratchBird's own
CREATE ROLE ann IN ROLE bob;
----
CREATE ROLE

-- differs: ScratchBird's own
SET ROLE ann;
----
SET

-- differs: ScratchBird's own
ALTER CLUSTER SET replication.factor = 3;
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_CONFIG_ADMIN privilege.

-- differs: ScratchBird's own
ALTER CLUSTER FORCE CUTOVER TO EPOCH 1 DISABLING NODES (elsewhere);
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_CONFIG_ADMIN privilege.

-- differs: ScratchBird's own
DISABLE NODE elsewhere REASON 'x';
----
ERROR 42704: node "elsewhere" does not exist
HINT: SHOW CLUSTER NODES lists them.

-- differs: ScratchBird's own
SELECT length(create_join_token()) > 200;
----
?column?
t

-- differs: ScratchBird's own
ALTER CLUSTER REBALANCE SHARDS;
----
ERROR 0A000: ALTER CLUSTER REBALANCE SHARDS is not supported yet

-- differs: ScratchBird's own
RESET ROLE;
----
RESET

-- differs: ScratchBird's own
SELECT count(*), min(status) FROM sys.epoch_convergence;
----
count	min
1	CONVERGED

-- differs: ScratchBird's own
SELECT * FROM sys.peer_health;
----
node_uuid	peer_uuid	peer_name	status	round_trip_ms	last_seen_at	epoch	applied_index	version	reason

-- differs: ScratchBird's own
SELECT node_join_count, node_leave_count, leader_election_count, cluster_stability_score FROM sys.churn_metrics;
----
node_join_count	node_leave_count	leader_election_count	cluster_stability_score
0	0	0	1

-- differs: ScratchBird's own
SELECT columns.column_name, columns.data_type FROM information_schema.columns WHERE table_schema = 'sys' AND table_name = 'nodes' ORDER BY ordinal_position;
----
column_name	data_type
node_uuid	uuid
node_name	text
addresses	ARRAY
roles	ARRAY
state	text
epoch	bigint
cert_fingerprint	text
version	text
joined_at	timestamp with time zone
last_seen_at	timestamp with time zone
state_change_reason	text
is_leader	boolean

SHOW authentication_timeout;
----
authentication_timeout
10s
SHOW
