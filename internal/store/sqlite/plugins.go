package sqlite

import "ssmrun"

const (
	hasInvocation = `SELECT 1 FROM invocations WHERE command = ? AND instance_id = ?`
	putPluginRow  = `INSERT INTO plugins (command, instance_id, position, name, action, status, details, exit_code,
		started, finished, output_region, output_bucket, output_prefix, stdout, stderr)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (command, instance_id, position) DO UPDATE SET name = excluded.name, action = excluded.action,
		status = excluded.status, details = excluded.details, exit_code = excluded.exit_code,
		started = excluded.started, finished = excluded.finished, output_region = excluded.output_region,
		output_bucket = excluded.output_bucket, output_prefix = excluded.output_prefix,
		stdout = excluded.stdout, stderr = excluded.stderr`
	selectPlugins = `SELECT name, action, position, status, details, exit_code, started,
		finished, output_region, output_bucket, output_prefix, stdout, stderr FROM plugins
		WHERE command = ? AND instance_id = ? ORDER BY position`
)

func (t *tx) Plugins(scope ssmrun.Scope, commandID, instanceID string) ([]ssmrun.Plugin, error) {
	n, err := t.number(scope, commandID)
	if none, err := absent(err); none || err != nil {
		return nil, what(err, "find plugins of %s on %s", commandID, instanceID)
	}
	var list []ssmrun.Plugin
	err = t.each(func(s scanner) error {
		p := ssmrun.Plugin{CommandID: commandID, InstanceID: instanceID}
		err := s.Scan(&p.Name, &p.Action, &p.Index, &p.State.Status, &p.State.Details,
			&p.ExitCode, at(&p.Started), at(&p.Finished), &p.Output.Region, &p.Output.Bucket, &p.Output.Prefix,
			&p.Stdout, &p.Stderr)
		list = append(list, p)
		return err
	}, selectPlugins, n, instanceID)
	return list, what(err, "find plugins of %s on %s", commandID, instanceID)
}

func (t *tx) PutPlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error {
	n, err := t.number(scope, p.CommandID)
	if err == nil && !t.met.invocations[invocationKey{n, p.InstanceID}] {
		err = t.one(func(scanner) error { return nil }, hasInvocation, n, p.InstanceID)
	}
	if err == nil {
		err = t.execOne(putPluginRow, n, p.InstanceID, p.Index, p.Name, p.Action, p.State.Status, p.State.Details, p.ExitCode,
			micros(p.Started), micros(p.Finished), p.Output.Region, p.Output.Bucket, p.Output.Prefix,
			p.Stdout, p.Stderr)
	}
	return what(err, "put plugin %s of %s on %s", p.Name, p.CommandID, p.InstanceID)
}
