package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun"
)

// farEnd is the service as a run sees it: AWS JSON 1.1, EC2's Query and S3's
// REST over real HTTP, with real SDK clients in front. What happens on the
// instances is a plan of the test; what goes wrong on the way, a list of faults.
type farEnd struct {
	net   *farNet // nil where it listens on a real port
	url   string
	start time.Time

	mu        sync.Mutex
	instances []farInstance
	plans     map[string]plan // by instance id; "" for all others
	documents map[string]farDocument
	ec2       map[string]string // state by id; nil: the caller may not ask
	buckets   map[string]string // region by name; "403" for one that may not be looked at
	objects   map[string]string // "bucket/key" → content
	region    string            // that S3 serves

	revisions      bool          // it speaks the long poll
	revisionOnSend bool          // and gives the first revision with the answer to SendCommand
	listLag        time.Duration // until ListCommands shows a command
	rowLag         time.Duration // by which the rows of invocations are late
	pageLimit      int           // 0: as asked
	emptyPage      bool          // an empty page comes before the others
	foreign        int           // so many commands after the first are somebody else's

	faults   map[string][]spoiler
	calls    []farCall
	commands []*farCommand
	force    *ssmrun.State // of commands as a whole
}

type farInstance struct {
	id, name string
	ping     ssmrun.PingStatus // Online where empty
	platform string            // Linux where empty
	from, to time.Duration     // since the start, when it is registered; to 0: for ever
}

type farDocument struct {
	content, kind, status string // Command and Active where empty
	platforms             []string
	readyAfter            int // so many looks show it Creating
}

// plan is what happens on an instance, counted from the send.
type plan struct {
	begin, end time.Duration // end 0: it never ends
	never      bool          // no agent takes it
	state      ssmrun.State  // Success where empty
	exit       int
	out, err   string
	steps      []step // for documents of several
	deaf       bool   // a cancel does not stop it
	hidden     bool   // the list shows no invocation
}

type step struct {
	name     string
	state    ssmrun.State
	exit     int
	out, err string
}

type farCommand struct {
	id        string
	in        map[string]any
	ids       []string
	sent      time.Time
	cancelled map[string]time.Time
}

type farCall struct {
	op     string
	in     map[string]any
	header http.Header
	at     time.Duration // since the start
}

// spoiler spoils one call: it may answer by itself (true), or let it pass.
type spoiler func(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool

const scriptDocument = `{"schemaVersion":"1.2","description":"Run a shell script.","parameters":{
 "commands":{"type":"StringList","description":"(Required) The lines.","minItems":1},
 "workingDirectory":{"type":"String","default":"","maxChars":4096},
 "executionTimeout":{"type":"String","default":"3600","allowedPattern":"([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)"}},
 "runtimeConfig":{"aws:runShellScript":{"properties":[{"id":"0.aws:runShellScript","runCommand":"{{ commands }}","workingDirectory":"{{ workingDirectory }}","timeoutSeconds":"{{ executionTimeout }}"}]}}}`

// bubbleEnd makes a far end in a synctest bubble.
func bubbleEnd(t *testing.T, ids ...string) *farEnd {
	f := newFarEnd(ids...)
	f.net = newFarNet()
	f.url = "http://far.end"
	srv := &httptest.Server{Listener: f.net, Config: &http.Server{Handler: f}}
	srv.Start()
	t.Cleanup(func() { f.net.Close(); srv.Config.Close() })
	return f
}

// portEnd makes one on a real port.
func portEnd(t *testing.T, ids ...string) *farEnd {
	f := newFarEnd(ids...)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func newFarEnd(ids ...string) *farEnd {
	f := &farEnd{start: time.Now(), region: "us-east-1", plans: map[string]plan{"": {begin: 100 * time.Millisecond, end: time.Second}},
		documents: map[string]farDocument{"AWS-RunShellScript": {content: scriptDocument, platforms: []string{"Linux", "MacOS"}}},
		ec2:       map[string]string{}, buckets: map[string]string{}, objects: map[string]string{}, faults: map[string][]spoiler{}}
	for _, id := range ids {
		f.instances = append(f.instances, farInstance{id: id, name: "host-" + id[len(id)-1:]})
	}
	return f
}

func (f *farEnd) since() time.Duration { return time.Since(f.start) }

func (f *farEnd) http(t *testing.T) *http.Client {
	if f.net != nil {
		return f.net.client(t)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// config has real SDK clients that talk to the far end. As on AWS, the endpoint
// is not the caller's own, unless the far end speaks the long poll.
func (f *farEnd) config(t *testing.T) Config {
	client := f.http(t)
	creds := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	c := Config{
		Region: "us-east-1",
		SSM:    ssm.New(ssm.Options{Region: "us-east-1", BaseEndpoint: &f.url, Credentials: creds, HTTPClient: client}),
		EC2:    ec2.New(ec2.Options{Region: "us-east-1", BaseEndpoint: &f.url, Credentials: creds, HTTPClient: client}),
		S3: func(region string) S3 {
			return s3.New(s3.Options{Region: region, BaseEndpoint: &f.url, Credentials: creds, HTTPClient: client, UsePathStyle: true})
		},
	}
	if f.revisions {
		c.Endpoint = f.url
	}
	return c
}

// spoil makes the next calls of an operation meet these faults, one each; nil
// lets a call pass.
func (f *farEnd) spoil(op string, faults ...spoiler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], faults...)
}

func times(n int, one spoiler) []spoiler {
	list := make([]spoiler, n)
	for i := range list {
		list[i] = one
	}
	return list
}

func (f *farEnd) made(op string) []farCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []farCall
	for _, c := range f.calls {
		if c.op == op {
			list = append(list, c)
		}
	}
	return list
}

func (f *farEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, in := "S3"+r.Method, map[string]any{}
	serve := f.serveS3
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		op = strings.TrimPrefix(target, "AmazonSSM.")
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &in)
		serve = nil
	} else if r.Method == http.MethodPost {
		_ = r.ParseForm()
		op, serve = r.Form.Get("Action"), f.serveEC2
	}
	if f.net != nil {
		// A way of 1 ms, of the bubble's time. It passes only when everything is
		// at rest: the SDK closes a request's body as soon as the answer is there,
		// and breaks the connection where it has not been written to its end.
		time.Sleep(time.Millisecond)
	}
	f.mu.Lock()
	f.calls = append(f.calls, farCall{op, in, r.Header.Clone(), f.since()})
	var spoil spoiler
	if q := f.faults[op]; len(q) > 0 {
		spoil, f.faults[op] = q[0], q[1:]
	}
	f.mu.Unlock()
	accept := func(w http.ResponseWriter) {
		if serve != nil {
			serve(w, r)
			return
		}
		f.serveSSM(w, r, op, in)
	}
	if spoil != nil && spoil(w, r, accept) {
		return
	}
	accept(w)
}

func (f *farEnd) serveSSM(w http.ResponseWriter, r *http.Request, op string, in map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch op {
	case "DescribeInstanceInformation":
		f.describeInstances(w, in)
	case "DescribeDocument", "GetDocument":
		f.document(w, op, in)
	case "SendCommand":
		f.send(w, in)
	case "ListCommands":
		f.listCommands(w, r, in)
	case "ListCommandInvocations":
		f.listInvocations(w, in)
	case "GetCommandInvocation":
		f.getInvocation(w, in)
	case "CancelCommand":
		f.cancel(w, in)
	default:
		awsError(w, 400, "UnknownOperationException", "")
	}
}

func awsError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(v)
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		out = append(out, fmt.Sprint(x))
	}
	return out
}

func text(v any) string { s, _ := v.(string); return s }

func epoch(t time.Time) float64 { return math.Round(float64(t.UnixNano())/1e6) / 1e3 }

// page cuts a list; tokens are positions.
func (f *farEnd) page(in map[string]any, rows []any, standard int) ([]any, string) {
	token := text(in["NextToken"])
	if f.emptyPage && token == "" {
		return []any{}, "0"
	}
	from, _ := strconv.Atoi(token)
	size := standard
	if n, ok := in["MaxResults"].(float64); ok {
		size = int(n)
	}
	if f.pageLimit > 0 {
		size = min(size, f.pageLimit)
	}
	to := min(from+size, len(rows))
	if to < len(rows) {
		return rows[from:to], strconv.Itoa(to)
	}
	return rows[from:to], ""
}

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
		rows = append(rows, map[string]any{"InstanceId": i.id, "PingStatus": or(string(i.ping), "Online"), "ComputerName": i.name,
			"PlatformType": or(i.platform, "Linux"), "AgentVersion": "3.3.0.0", "LastPingDateTime": epoch(time.Now().Add(-3 * time.Minute))})
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
		answer(w, map[string]any{"Document": map[string]any{"Name": name, "DocumentType": or(d.kind, "Command"), "Status": status,
			"PlatformTypes": d.platforms, "StatusInformation": "its content is wrong"}})
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

func (f *farEnd) plan(id string) plan {
	p, ok := f.plans[id]
	if !ok {
		p = f.plans[""]
	}
	if p.state == (ssmrun.State{}) {
		p.state = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
	}
	return p
}

// changes gives the moments at which an instance's state changes, and the state
// from then on.
func (f *farEnd) changes(c *farCommand, id string) (at []time.Duration, states []ssmrun.State) {
	p := f.plan(id)
	add := func(d time.Duration, s ssmrun.State) { at, states = append(at, d), append(states, s) }
	add(0, ssmrun.NewState)
	cancel, cancelled := time.Duration(math.MaxInt64), false
	if t, ok := c.cancelled[id]; ok {
		cancel, cancelled = t.Sub(c.sent), true
	}
	limit := time.Duration(c.in["TimeoutSeconds"].(float64)) * time.Second
	begin := p.begin
	if p.never {
		begin = math.MaxInt64
	}
	if cancelled && cancel < begin {
		add(cancel, ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled})
		return at, states
	}
	if begin > limit {
		add(limit+12*time.Second, ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsDeliveryTimedOut})
		return at, states
	}
	add(begin, ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress})
	if cancelled && !p.deaf && (p.end == 0 || cancel < p.end) {
		add(cancel+200*time.Millisecond, ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled})
		return at, states
	}
	if p.end > 0 {
		add(p.end, p.state)
	}
	return at, states
}

func (f *farEnd) state(c *farCommand, id string, elapsed time.Duration) (s ssmrun.State, revision int) {
	at, states := f.changes(c, id)
	for i, d := range at {
		if elapsed >= d {
			s, revision = states[i], i
		}
	}
	return s, revision
}

// row is a command as lists show it, and as it was when it was sent.
func (f *farEnd) row(c *farCommand, fresh bool) map[string]any {
	elapsed := time.Since(c.sent)
	if fresh {
		elapsed = 0
	}
	counts := ssmrun.Counts{Target: len(c.ids)}
	begun := false
	for _, id := range c.ids {
		s, _ := f.state(c, id, elapsed)
		begun = begun || s.Status != ssmrun.Pending
		switch {
		case !s.Terminal():
			continue
		case s.Details == ssmrun.DetailsDeliveryTimedOut:
			counts.DeliveryTimedOut++
		case s.Status == ssmrun.Cancelled:
			counts.Cancelled++
		case s.Details == ssmrun.DetailsUndeliverable:
			counts.Refused++
		case s.Status != ssmrun.Success:
			counts.Errors++
		default:
			counts.Succeeded++
		}
		counts.Completed++
	}
	state := ssmrun.NewState
	if begun {
		state = ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress}
	}
	if event, over := ssmrun.Outcome(counts, 1<<30); over {
		state, _, _ = ssmrun.Next(ssmrun.CommandLevel, state, event)
	}
	if f.force != nil && !fresh {
		state = *f.force
	}
	row := map[string]any{"CommandId": c.id, "DocumentName": c.in["DocumentName"], "Comment": c.in["Comment"], "InstanceIds": c.ids,
		"RequestedDateTime": epoch(c.sent), "Status": state.Status, "StatusDetails": state.Details, "TargetCount": counts.Target,
		"CompletedCount": counts.Completed, "ErrorCount": counts.Errors, "DeliveryTimedOutCount": counts.DeliveryTimedOut}
	for _, k := range []string{"OutputS3BucketName", "OutputS3KeyPrefix", "OutputS3Region", "Parameters"} {
		if c.in[k] != nil {
			row[k] = c.in[k]
		}
	}
	return row
}

func (f *farEnd) revision(c *farCommand) int {
	n := 1
	for _, id := range c.ids {
		_, r := f.state(c, id, time.Since(c.sent))
		n += r
	}
	return n
}

// nextChange is how long until something changes; 0 for never.
func (f *farEnd) nextChange(c *farCommand) time.Duration {
	elapsed, next := time.Since(c.sent), time.Duration(0)
	for _, id := range c.ids {
		at, _ := f.changes(c, id)
		for _, d := range at {
			if d > elapsed && (next == 0 || d-elapsed < next) {
				next = d - elapsed
			}
		}
	}
	return next
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
				p := map[string]any{"Name": st.name, "Status": st.state.Status, "StatusDetails": st.state.Details, "ResponseCode": st.exit,
					"Output": ssmrun.Join(st.out, st.err), "StandardOutputUrl": f.streamURL(c, id, st.name, "stdout"), "StandardErrorUrl": f.streamURL(c, id, st.name, "stderr")}
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
			answer(w, map[string]any{"CommandId": c.id, "InstanceId": id, "ResponseCode": st.exit, "Status": st.state.Status, "StatusDetails": st.state.Details,
				"StandardOutputContent": ssmrun.CutStream(st.out, 24000), "StandardErrorContent": ssmrun.CutStream(st.err, 8000),
				"StandardOutputUrl": f.streamURL(c, id, st.name, "stdout"), "StandardErrorUrl": f.streamURL(c, id, st.name, "stderr")})
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

func (f *farEnd) serveEC2(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>`, code, message)
	}
	if f.ec2 == nil {
		fail(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
		return
	}
	var body, unknown []string
	for n := 1; r.Form.Get(fmt.Sprintf("InstanceId.%d", n)) != ""; n++ {
		id := r.Form.Get(fmt.Sprintf("InstanceId.%d", n))
		state, ok := f.ec2[id]
		if !ok {
			unknown = append(unknown, id)
			continue
		}
		body = append(body, fmt.Sprintf(`<item><instancesSet><item><instanceId>%s</instanceId><instanceState><code>16</code><name>%s</name></instanceState></item></instancesSet></item>`, id, state))
	}
	if len(unknown) > 0 {
		fail(400, "InvalidInstanceID.NotFound", "The instance IDs '"+strings.Join(unknown, ", ")+"' do not exist")
		return
	}
	fmt.Fprintf(w, `<?xml version="1.0"?><DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><reservationSet>%s</reservationSet></DescribeInstancesResponse>`, strings.Join(body, ""))
}

func (f *farEnd) serveS3(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	region, ok := f.buckets[bucket]
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/")
	asked := strings.Split(scope, "/")[1]
	switch {
	case !ok:
		w.WriteHeader(404)
		return
	case region == "403":
		w.Header().Set("X-Amz-Bucket-Region", "us-east-1")
		w.WriteHeader(403)
		return
	case region != asked:
		w.Header().Set("X-Amz-Bucket-Region", region)
		w.WriteHeader(301)
		return
	case key == "":
		w.Header().Set("X-Amz-Bucket-Region", region)
		return
	}
	content, ok := f.objects[bucket+"/"+key]
	if !ok {
		w.WriteHeader(404)
		return
	}
	if rest, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=-"); ok {
		n, _ := strconv.Atoi(rest)
		content = content[max(0, len(content)-n):]
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		return
	}
	_, _ = io.WriteString(w, content)
}

// Faults.

// refuseWith answers with an error of the service.
func refuseWith(status int, code string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
		awsError(w, status, code, "")
		return true
	}
}

var throttle = refuseWith(400, "ThrottlingException")

// cut closes the connection without an answer.
func cut(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
	return true
}

// dropAnswer lets the service do what it was asked, and loses the answer.
func dropAnswer(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
	accept(httptest.NewRecorder())
	return cut(w, r, accept)
}

// acceptThen does what was asked and answers with an error all the same.
func acceptThen(status int, code string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
		accept(httptest.NewRecorder())
		awsError(w, status, code, "")
		return true
	}
}

// hang never answers; accepted or not.
func hang(accepted bool) spoiler {
	return func(_ http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
		if accepted {
			accept(httptest.NewRecorder())
		}
		<-r.Context().Done()
		return true
	}
}

// slowly answers after a while.
func slowly(d time.Duration) spoiler {
	return func(http.ResponseWriter, *http.Request, func(http.ResponseWriter)) bool {
		time.Sleep(d)
		return false
	}
}
