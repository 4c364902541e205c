package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
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
func portEnd(t testing.TB, ids ...string) *farEnd {
	f := newFarEnd(ids...)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func newFarEnd(ids ...string) *farEnd {
	f := &farEnd{
		start: time.Now(), region: "us-east-1", plans: map[string]plan{"": {begin: 100 * time.Millisecond, end: time.Second}},
		documents: map[string]farDocument{"AWS-RunShellScript": {content: scriptDocument, platforms: []string{"Linux", "MacOS"}}},
		ec2:       map[string]string{}, buckets: map[string]string{}, objects: map[string]string{}, faults: map[string][]spoiler{},
	}
	for _, id := range ids {
		f.instances = append(f.instances, farInstance{id: id, name: "host-" + id[len(id)-1:]})
	}
	return f
}

func (f *farEnd) since() time.Duration { return time.Since(f.start) }

func (f *farEnd) http(t testing.TB) *http.Client {
	if f.net != nil {
		return f.net.client(t)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// config has real SDK clients that talk to the far end. As on AWS, the endpoint
// is not the caller's own, unless the far end speaks the long poll.
func (f *farEnd) config(t testing.TB) Config {
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
