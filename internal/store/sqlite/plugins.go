package sqlite

import "ssmrun"

const (
	insertPluginRow = `INSERT INTO plugins (account, region, command_id, instance_id, name, action, position, status,
		details, exit_code, started, finished, output_region, output_bucket, output_prefix, stdout, stderr)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	updatePluginRow = `UPDATE plugins SET status = ?, details = ?, exit_code = ?, started = ?, finished = ?,
		output_region = ?, output_bucket = ?, output_prefix = ?, stdout = ?, stderr = ?
		WHERE account = ? AND region = ? AND command_id = ? AND instance_id = ? AND name = ?`
	selectPlugins = `SELECT command_id, instance_id, name, action, position, status, details, exit_code, started,
		finished, output_region, output_bucket, output_prefix, stdout, stderr FROM plugins
		WHERE account = ? AND region = ? AND command_id = ? AND instance_id = ? ORDER BY position, name`
)

func (t *tx) insertPlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error {
	_, err := t.exec(insertPluginRow, scope.Account, scope.Region, p.CommandID, p.InstanceID, p.Name, p.Action, p.Index,
		p.State.Status, p.State.Details, p.ExitCode, micros(p.Started), micros(p.Finished),
		p.Output.Region, p.Output.Bucket, p.Output.Prefix, p.Stdout, p.Stderr)
	return what(err, "plugin %s on %s", p.Name, p.InstanceID)
}

func (t *tx) Plugins(scope ssmrun.Scope, commandID, instanceID string) ([]ssmrun.Plugin, error) {
	var list []ssmrun.Plugin
	err := t.each(func(s scanner) error {
		var p ssmrun.Plugin
		err := s.Scan(&p.CommandID, &p.InstanceID, &p.Name, &p.Action, &p.Index, &p.State.Status, &p.State.Details,
			&p.ExitCode, at(&p.Started), at(&p.Finished), &p.Output.Region, &p.Output.Bucket, &p.Output.Prefix,
			&p.Stdout, &p.Stderr)
		list = append(list, p)
		return err
	}, selectPlugins, scope.Account, scope.Region, commandID, instanceID)
	return list, what(err, "find plugins of %s on %s", commandID, instanceID)
}

func (t *tx) UpdatePlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error {
	err := t.execOne(updatePluginRow, p.State.Status, p.State.Details, p.ExitCode, micros(p.Started), micros(p.Finished),
		p.Output.Region, p.Output.Bucket, p.Output.Prefix, p.Stdout, p.Stderr,
		scope.Account, scope.Region, p.CommandID, p.InstanceID, p.Name)
	return what(err, "update plugin %s of %s on %s", p.Name, p.CommandID, p.InstanceID)
}
