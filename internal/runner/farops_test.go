package runner

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ssmrun"
)

func (f *farEnd) describeInstances(w http.ResponseWriter, in map[string]any) {
	var wanted []string
	if filters, ok := in["Filters"].([]any); ok {
		wanted = texts(filters[0].(map[string]any)["Values"])
	}
	rows := []any{}
	for _, i := range f.instances {
		at := f.since()
		if at < i.from || (i.to > 0 && at >= i.to) || (wanted != nil && !slices.Contains(wanted, i.id)) {
			continue
		}
		rows = append(rows, map[string]any{
			"InstanceId": i.id, "PingStatus": or(string(i.ping), "Online"), "ComputerName": i.name,
			"PlatformType": or(i.platform, "Linux"), "AgentVersion": "3.3.0.0", "LastPingDateTime": epoch(time.Now().Add(-3 * time.Minute)),
		})
	}
	rows, next := f.page(in, rows, 10)
	answer(w, map[string]any{"InstanceInformationList": rows, "NextToken": next})
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (f *farEnd) document(w http.ResponseWriter, op string, in map[string]any) {
	name := text(in["Name"])
	d, ok := f.documents[name]
	if !ok {
		awsError(w, 400, "InvalidDocument", "Document with name "+name+" does not exist.")
		return
	}
	if v := text(in["DocumentVersion"]); v != "" && v != "1" && v != "$DEFAULT" {
		awsError(w, 400, "InvalidDocumentVersion", "")
		return
	}
	status := or(d.status, "Active")
	if d.readyAfter > 0 {
		status = "Creating"
		if op == "DescribeDocument" {
			d.readyAfter--
			f.documents[name] = d
		}
	}
	if op == "DescribeDocument" {
		answer(w, map[string]any{"Document": map[string]any{
			"Name": name, "DocumentType": or(d.kind, "Command"), "Status": status,
			"PlatformTypes": d.platforms, "StatusInformation": "its content is wrong",
		}})
		return
	}
	answer(w, map[string]any{"Name": name, "DocumentType": or(d.kind, "Command"), "Status": status, "Content": d.content, "DocumentFormat": "JSON"})
}

func (f *farEnd) send(w http.ResponseWriter, in map[string]any) {
	c := &farCommand{id: fmt.Sprintf("%08d-0000-4000-8000-%012d", len(f.commands)+1, len(f.commands)+1), in: in, ids: texts(in["InstanceIds"]), sent: time.Now(), cancelled: map[string]time.Time{}}
	if n := len(f.commands); n > 0 && n <= f.foreign {
		c.in = map[string]any{"DocumentName": in["DocumentName"], "Comment": "of somebody else", "TimeoutSeconds": 600.0}
	}
	f.commands = append(f.commands, c)
	if f.revisionOnSend {
		w.Header().Set("X-Ssmrun-Revision", "1")
	}
	answer(w, map[string]any{"Command": f.row(c, true)})
}

func (f *farEnd) listCommands(w http.ResponseWriter, r *http.Request, in map[string]any) {
	id := text(in["CommandId"])
	if wait := r.Header.Get("X-Ssmrun-Wait"); wait != "" && f.revisions && id != "" {
		f.waitRevision(r, id, wait)
	}
	after := time.Time{}
	if filters, ok := in["Filters"].([]any); ok {
		for _, x := range filters {
			m := x.(map[string]any)
			key, value := text(m["key"]), text(m["value"])
			switch key {
			case "InvokedAfter":
				var err error
				if after, err = time.Parse(time.RFC3339, value); err != nil {
					awsError(w, 400, "ValidationException", "bad time "+value)
					return
				}
			case "DocumentName":
			default:
				awsError(w, 400, "InvalidFilterKey", key)
				return
			}
		}
	}
	rows := []any{}
	for _, c := range slices.Backward(f.commands) {
		if time.Since(c.sent) < f.listLag || (id != "" && c.id != id) || c.sent.Before(after) {
			continue
		}
		rows = append(rows, f.row(c, false))
		if id != "" && f.revisions {
			w.Header().Set("X-Ssmrun-Revision", strconv.Itoa(f.revision(c)))
		}
	}
	if id != "" {
		answer(w, map[string]any{"Commands": rows, "NextToken": ""})
		return
	}
	rows, next := f.page(in, rows, 50)
	answer(w, map[string]any{"Commands": rows, "NextToken": next})
}

func (f *farEnd) waitRevision(r *http.Request, id, wait string) {
	number, seconds, _ := strings.Cut(wait, ";")
	limit, _ := strconv.Atoi(seconds)
	deadline := time.Now().Add(time.Duration(limit) * time.Second)
	for {
		var c *farCommand
		for _, x := range f.commands {
			if x.id == id {
				c = x
			}
		}
		if c == nil || strconv.Itoa(f.revision(c)) != number || time.Now().After(deadline) {
			return
		}
		// Cancels change the plan, so look at least every 100 ms.
		d := min(100*time.Millisecond, time.Until(deadline)+time.Millisecond)
		if next := f.nextChange(c); next > 0 {
			d = min(d, next)
		}
		f.mu.Unlock()
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
		f.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
}

func (f *farEnd) find(id string) *farCommand {
	for _, c := range f.commands {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (f *farEnd) steps(c *farCommand, id string) []step {
	p := f.plan(id)
	s, _ := f.state(c, id, time.Since(c.sent)-f.rowLag)
	if p.steps != nil && s.Terminal() {
		return p.steps
	}
	one := step{name: "aws:runShellScript", state: s, exit: -1}
	if s.Terminal() && s.Details != ssmrun.DetailsDeliveryTimedOut && s.Details != ssmrun.DetailsUndeliverable {
		one.exit, one.out, one.err = p.exit, p.out, p.err
		if s.Status == ssmrun.Cancelled {
			one.exit = 137
		}
	}
	return []step{one}
}

func (f *farEnd) streamURL(c *farCommand, id, name, stream string) string {
	bucket := text(c.in["OutputS3BucketName"])
	if bucket == "" {
		return ""
	}
	prefix := text(c.in["OutputS3KeyPrefix"])
	if prefix != "" {
		prefix += "/"
	}
	folder := strings.ReplaceAll(name, ":", "")
	return fmt.Sprintf("https://s3.%s.amazonaws.com/%s/%s%s/%s/%s/0.%s/%s", f.region, bucket, prefix, c.id, id, folder, folder, stream)
}

func (f *farEnd) listInvocations(w http.ResponseWriter, in map[string]any) {
	rows := []any{}
	if c := f.find(text(in["CommandId"])); c != nil && (f.force == nil || f.force.Details != ssmrun.DetailsNoInstancesInTag) {
		for _, id := range c.ids {
			if f.plan(id).hidden || time.Since(c.sent) < f.rowLag {
				continue
			}
			s, _ := f.state(c, id, time.Since(c.sent)-f.rowLag)
			plugins := []any{}
			for _, st := range f.steps(c, id) {
				if s.Details == ssmrun.DetailsUndeliverable {
					break
				}
				p := map[string]any{
					"Name": st.name, "Status": st.state.Status, "StatusDetails": st.state.Details, "ResponseCode": st.exit,
					"Output": ssmrun.Join(st.out, st.err), "StandardOutputUrl": f.streamURL(c, id, st.name, "stdout"), "StandardErrorUrl": f.streamURL(c, id, st.name, "stderr"),
				}
				if st.state.Terminal() && st.exit >= 0 {
					p["ResponseStartDateTime"], p["ResponseFinishDateTime"] = epoch(c.sent.Add(f.plan(id).begin)), epoch(c.sent.Add(f.plan(id).end))
				}
				plugins = append(plugins, p)
			}
			name := ""
			for _, i := range f.instances {
				if i.id == id {
					name = i.name
				}
			}
			rows = append(rows, map[string]any{"CommandId": c.id, "InstanceId": id, "InstanceName": name, "Status": s.Status, "StatusDetails": s.Details, "CommandPlugins": plugins})
		}
	}
	rows, next := f.page(in, rows, 50)
	answer(w, map[string]any{"CommandInvocations": rows, "NextToken": next})
}

func (f *farEnd) getInvocation(w http.ResponseWriter, in map[string]any) {
	c, id := f.find(text(in["CommandId"])), text(in["InstanceId"])
	if c == nil || !slices.Contains(c.ids, id) {
		awsError(w, 400, "InvocationDoesNotExist", "")
		return
	}
	for _, st := range f.steps(c, id) {
		if st.name == text(in["PluginName"]) {
			answer(w, map[string]any{
				"CommandId": c.id, "InstanceId": id, "ResponseCode": st.exit, "Status": st.state.Status, "StatusDetails": st.state.Details,
				"StandardOutputContent": ssmrun.CutStream(st.out, 24000), "StandardErrorContent": ssmrun.CutStream(st.err, 8000),
				"StandardOutputUrl": f.streamURL(c, id, st.name, "stdout"), "StandardErrorUrl": f.streamURL(c, id, st.name, "stderr"),
			})
			return
		}
	}
	awsError(w, 400, "InvalidPluginName", "")
}

func (f *farEnd) cancel(w http.ResponseWriter, in map[string]any) {
	c := f.find(text(in["CommandId"]))
	if c == nil {
		awsError(w, 400, "InvalidCommandId", "")
		return
	}
	ids := texts(in["InstanceIds"])
	if len(ids) == 0 {
		ids = c.ids
	}
	for _, id := range ids {
		if s, _ := f.state(c, id, time.Since(c.sent)); !s.Terminal() {
			c.cancelled[id] = time.Now()
		}
	}
	answer(w, map[string]any{})
}
