/**
 * Relations of our own: `sys` (spec/15) and Firebird's MON$ tables (spec/14), in the notation of shapes.ts. MON$ names
 * live in pg_catalog so that they resolve unqualified. Types: 16 bool, 20 int8, 23 int4, 25 text, 701 float8,
 * 1009 text[], 1184 timestamptz, 2950 uuid, 3802 jsonb. Relations are numbered by their place: new ones stand last.
 */
const nodeColumns =
  "node_uuid 2950!,node_name 25!,addresses 1009!,roles 1009!,state 25!,epoch 20,cert_fingerprint 25!,version 25!,joined_at 1184!,last_seen_at 1184,state_change_reason 25!,is_leader 16!";
const auditColumns =
  "node_uuid 2950!,node_name 25!,event_sequence 20!,event_uuid 2950!,event_type 25!,severity 25!,user_uuid 2950,session_uuid 2950,event_timestamp 1184!,payload 3802!,canonical_json 25!,prev_event_hash 25,event_hash 25!,signature 25";
// biome-ignore format: one relation a line
export const ownShapes: readonly (readonly [schema: "sys" | "pg_catalog", name: string, columns: string])[] = [
  ["sys", "settings", "name 25!,value 25,default_value 25,unit 25,source 25,description 25"],
  ["sys", "features", "feature 25!,area 25!,level 25!,milestone 25!,implemented 16!,enabled 16!,deviation_note 25"],
  ["sys", "sessions", "session_id 23!,connection_id 23!,user_name 25,role_name 25,database_name 25,protocol 25,client_addr 25,client_port 23,state 25,connected_at 1184,last_activity_at 1184,transaction_id 20,statement_id 20,current_query 25,wait_event 25,wait_resource 25"],
  ["sys", "transactions", "transaction_id 20,transaction_uuid 2950,session_id 23,shard 25,state 25,isolation_level 25,read_only 16,start_time 1184,duration_ms 701,current_query 25,locks_held 20,pages_modified 20"],
  ["sys", "shards", "shard_id 23!,shard_uuid 2950,shard_name 25!,primary_node 25,replica_nodes 1009,state 25!,generation 20,map_version 20,size_bytes 20"],
  ["sys", "performance", "metric 25!,value 701,unit 25,scope 25,database_name 25,updated_at 1184"],
  ["sys", "sweep_status", "shard 25!,oit 20!,oat 20!,ost 20!,next 20!,sweep_interval 20!,sweep_running 16!,last_sweep_at 1184,last_duration_ms 701,versions_removed 20,records_backed_out 20"],
  ["pg_catalog", "mon$database", "mon$database_name 25,mon$page_size 23,mon$ods_major 23,mon$ods_minor 23,mon$oldest_transaction 20,mon$oldest_active 20,mon$oldest_snapshot 20,mon$next_transaction 20,mon$page_buffers 20,mon$sweep_interval 20,mon$pages 20,mon$shard 25"],
  ["pg_catalog", "mon$transactions", "mon$transaction_id 20,mon$attachment_id 23,mon$state 23,mon$timestamp 1184,mon$top_transaction 20,mon$oldest_transaction 20,mon$oldest_active 20,mon$isolation_mode 23,mon$lock_timeout 23,mon$read_only 23"],
  ["pg_catalog", "mon$attachments", "mon$attachment_id 23!,mon$server_pid 23,mon$state 23,mon$attachment_name 25,mon$user 25,mon$role 25,mon$remote_protocol 25,mon$remote_address 25,mon$timestamp 1184"],
  ["pg_catalog", "mon$statements", "mon$statement_id 20!,mon$attachment_id 23,mon$transaction_id 20,mon$state 23,mon$timestamp 1184,mon$sql_text 25"],
  ["pg_catalog", "mon$locks", "mon$lock_id 25!,mon$attachment_id 23,mon$lock_type 25,mon$resource 25,mon$granted 16"],
  ["pg_catalog", "mon$io_stats", "mon$stat_id 23!,mon$stat_group 23!,mon$page_reads 20,mon$page_writes 20,mon$page_fetches 20,mon$page_marks 20"],
  ["sys", "nodes", nodeColumns],
  ["sys", "cluster_members", nodeColumns],
  ["sys", "epochs", "epoch_number 20!,state 25!,hash 25!,previous_hash 25!,created_at 1184!,published_at 1184!,effective_at 1184,administrators 1009!,description 25!"],
  ["sys", "epoch_convergence", "node_uuid 2950!,version 20,hash 25,applied_at 1184,status 25!"],
  ["sys", "peer_health", "node_uuid 2950!,peer_uuid 2950!,peer_name 25!,status 25!,round_trip_ms 701,last_seen_at 1184,epoch 20,applied_index 20,version 25,reason 25"],
  ["sys", "certificates", "serial 25!,kind 25!,subject 25!,node_uuid 2950,fingerprint 25!,issuer 25!,not_before 1184!,not_after 1184!,issued_at 1184!,issued_by 25!,status 25!"],
  ["sys", "crl", "issuer 25!,crl_number 20!,serial 25!,revoked_at 1184!,reason 25!"],
  ["sys", "certificate_authorities", "fingerprint 25!,is_primary 16!,status 25!,trusted_from 1184!,trusted_until 1184,crl_number 20,crl_this_update 1184,crl_next_update 1184,certificate 25!,crl 25"],
  ["sys", "ca_rotation", "rotation_uuid 2950!,phase 25!,from_ca 25!,to_ca 25!,started_at 1184!,ended_at 1184,stability_window 1186!,automatic 16!,started_by 25!,nodes_done 1009,nodes_left 1009,gate_open_since 1184"],
  ["sys", "churn_metrics", "observation_time 1184!,node_join_count 20!,node_leave_count 20!,node_failure_count 20!,leader_election_count 20!,avg_leader_tenure 701,shard_migration_count 20!,shard_rebalance_count 20!,cluster_stability_score 701!,network_partition_count 20!"],
  ["sys", "cluster_events", "event_uuid 2950,occurred_at 1184!,event_type 25!,node_uuid 2950,shard_id 23,from_state 25,to_state 25,epoch_number 20,detail 3802"],
  ["sys", "connection_rules", "ordinal 23!,name 25!,roles 1009!,databases 1009!,addresses 1009!,tls 25!,method 25!,built_in 16!"],
  ["sys", "audit_events", auditColumns],
  ["sys", "audit_log", auditColumns],
  ["sys", "audit_checkpoints", "node_uuid 2950!,node_name 25!,start_sequence 20!,end_sequence 20!,event_count 20!,first_hash 25!,last_hash 25!,merkle_root 25!,checkpoint_time 1184!,cert_fingerprint 25!,signature 25!"],
  ["sys", "verify_audit_chain_detail", "node_uuid 2950!,node_name 25!,event_sequence 20,kind 25!,reason 25!"],
  ["sys", "alerts", "node_name 25!,alert 25!,severity 25!,metric 25!,labels 3802!,value 701!,threshold 701,firing_since 1184!,summary 25!"],
  ["sys", "security_bundle_history", "bundle_version 20!,bundle_hash 25!,created_at 1184!,created_by 25,description 25!,applied_at 1184,superseded_at 1184,is_whole 16!"],
  ["sys", "security_bundle_convergence", "node_uuid 2950!,version 20,hash 25,applied_at 1184,status 25!"],
  ["sys", "security_bundle_rules", "bundle_version 20!,rule_set 25!,rule_name 25!,relation 25,definition 3802!"],
  ["sys", "security_bundle_draft", "opened_by 25!,opened_at 1184!,bundle_version 20,from_version 20!,description 25!,rule_set 25,rule_name 25,relation 25,definition 3802"],
];
