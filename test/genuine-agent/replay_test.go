package genuineagent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// replay says to a service again what amazon-ssm-agent said to one. The ids of
// commands, instance and messages are others now, and put in the places of the
// recorded ones; all else is as it was.
type replay struct {
	*testing.T
	s     *testenv.Service
	id    string // of the instance
	names []string
	conn  *websocket.Conn
	// commands maps recorded ids of commands to ours.
	commands map[string]string
	// messages are the ids of frames that came for jobs, by job.
	messages map[string]string
	waiting  []wire.Message // of the long poll
}

func TestReplay(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{wire.ChannelMessages, wire.ChannelLongPoll} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			record := readRecord(t, channel)
			r := &replay{T: t, s: testenv.Start(t, testenv.Options{}), commands: map[string]string{}, messages: map[string]string{}}
			r.register(record)
			if channel == wire.ChannelMessages {
				r.open()
			}
			for _, e := range record {
				r.line(channel, e)
			}
		})
	}
}

func readRecord(t *testing.T, channel string) (list []exchange) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", channel+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var e exchange
		if err := d.Decode(&e); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
}

// register makes an instance; it stands for that of the record.
func (r *replay) register(record []exchange) {
	id, code := r.s.Activation("")
	host, err := agentlink.NewIdentity(r.s.Region)
	if err == nil {
		host, err = agentlink.Registrar{Endpoint: agentlink.FixedEndpoint(r.s.Endpoint)}.Register(r.Context(), id, code, host)
	}
	if err != nil {
		r.Fatal(err)
	}
	r.id = host.InstanceID
	for _, e := range record {
		if e.From == "service" && e.Kind == wire.OpRegisterManagedInstance {
			var old wire.RegisterManagedInstanceResponse
			r.decode(e.Text, &old)
			r.names = append(r.names, old.InstanceID, r.id)
		}
	}
}

func (r *replay) decode(text string, into any) {
	r.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		r.Fatalf("%.300s: %v", text, err)
	}
}

// now puts our ids into a recorded text.
func (r *replay) now(text string) string { return strings.NewReplacer(r.names...).Replace(text) }

// request signs a request with the service's own key, which may speak for any
// instance.
func (r *replay) request(method, path, service, body string, header http.Header) *http.Request {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.s.Endpoint+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for k := range header {
		req.Header.Set(k, header.Get(k))
	}
	sigv4.Sign(req, []byte(body), sigv4.Keys{AccessKeyID: r.s.AccessKeyID, SecretAccessKey: r.s.SecretKey}, service, r.s.Region, time.Now())
	return req
}

func (r *replay) do(req *http.Request, want int) string {
	r.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		r.Fatalf("%s: %d %s %v", req.Header.Get("X-Amz-Target"), resp.StatusCode, b, err)
	}
	return string(b)
}

// open opens the control channel.
func (r *replay) open() {
	path := wire.ControlChannelPath(r.id)
	answer := r.do(r.request(http.MethodPost, path, "ssmmessages", `{"MessageSchemaVersion":"1.0","RequestId":"`+uuid.NewString()+`"}`, nil), http.StatusCreated)
	created, err := wire.DecodeCreateControlChannelResponse([]byte(answer))
	if err != nil {
		r.Fatal(err)
	}
	req := r.request(http.MethodGet, path+"?"+wire.ControlChannelQuery, "ssmmessages", "", nil)
	conn, _, err := websocket.Dial(r.Context(), req.URL.String(), &websocket.DialOptions{HTTPHeader: req.Header}) //nolint:bodyclose // the websocket's own
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(wire.MaxFrameBytes)
	r.conn = conn
	r.names = append(r.names, hiddenWord, created.TokenValue)
}

// line does what a line of the record tells.
func (r *replay) line(channel string, e exchange) {
	r.Helper()
	switch {
	case e.Bytes == nil && e.Text == "":
		// A call that the agent gave up when it stopped.
	case e.Kind == "text":
		if err := r.conn.Write(r.Context(), websocket.MessageText, []byte(r.now(e.Text))); err != nil {
			r.Fatal(err)
		}
	case e.Kind == "frame":
		f, err := wire.Decode(e.Bytes)
		if err != nil || !bytes.Equal(f.Encode(), e.Bytes) {
			r.Fatalf("a recorded frame is not ours: %v\n%x", err, e.Bytes)
		}
		if e.From == "agent" {
			r.agentFrame(f)
		} else {
			r.serviceFrame(f)
		}
	case e.Kind == "invocation":
		r.invocation(e.Text)
	case channel == wire.ChannelLongPoll && e.From == "service" && e.Kind == wire.OpGetMessages:
		r.serviceMessages(e.Text)
	case channel == wire.ChannelLongPoll && e.From == "agent" && (e.Kind == wire.OpSendReply || e.Kind == wire.OpAcknowledgeMessage || e.Kind == wire.OpFailMessage):
		r.call(wire.TargetMessageDelivery, e.Kind, "ec2messages", r.now(e.Text))
	case e.From == "agent" && (e.Kind == wire.OpUpdateInstanceInformation || e.Kind == wire.OpListInstanceAssociations):
		r.call(wire.TargetSSM, e.Kind, "ssm", r.now(e.Text))
	}
}

func (r *replay) call(target, operation, service, body string) string {
	r.Helper()
	return r.do(r.request(http.MethodPost, "/", service, body, http.Header{"X-Amz-Target": {target + operation}, "Content-Type": {wire.ContentType}}), http.StatusOK)
}

// agentFrame says what the agent said, and waits for the service's word on it.
func (r *replay) agentFrame(f wire.Frame) {
	r.Helper()
	payload := r.now(string(f.Payload))
	if f.Type == wire.TypeAgentJobAck {
		var ack wire.AgentJobAck
		r.decode(payload, &ack)
		payload = strings.ReplaceAll(payload, ack.AcknowledgedMessageID, r.messages[ack.JobID])
	}
	f.Payload, f.ID = []byte(payload), uuid.New()
	if err := r.conn.Write(r.Context(), websocket.MessageBinary, f.Encode()); err != nil {
		r.Fatal(err)
	}
	if f.Type != wire.TypeAgentJobReply {
		return
	}
	answer := r.next()
	var ack wire.AgentJobReplyAck
	r.decode(string(answer.Payload), &ack)
	if answer.Type != wire.TypeAgentJobReplyAck || ack.AcknowledgedMessageID != f.ID.String() {
		r.Fatalf("the service answered a reply with %s %s", answer.Type, answer.Payload)
	}
}

func (r *replay) next() wire.Frame {
	r.Helper()
	f, err := wire.Next(r.Context(), r.conn.Reader, websocket.MessageBinary)
	if err != nil {
		r.Fatal(err)
	}
	return f
}

// serviceFrame makes the service say what it said.
func (r *replay) serviceFrame(f wire.Frame) {
	r.Helper()
	if f.Type != wire.TypeAgentJob {
		return // acknowledgements were waited for
	}
	var old wire.AgentJob
	r.decode(string(f.Payload), &old)
	learn := r.ask(old.JobID, old.Topic, old.Content)
	got := r.next()
	if got.Type != wire.TypeAgentJob {
		r.Fatalf("the service said %s %s", got.Type, got.Payload)
	}
	var job wire.AgentJob
	r.decode(string(got.Payload), &job)
	learn(job.JobID)
	r.messages[job.JobID] = got.ID.String()
	r.same(old.Content, job.Content)
	if job.Topic != r.now(old.Topic) || job.SchemaVersion != old.SchemaVersion {
		r.Errorf("job %+v, recorded %+v", job, old)
	}
}

// serviceMessages makes the service hand out what it handed out.
func (r *replay) serviceMessages(text string) {
	r.Helper()
	var old wire.GetMessagesResponse
	r.decode(text, &old)
	for _, m := range old.Messages {
		learn := r.ask(m.MessageID, m.Topic, m.Payload)
		for len(r.waiting) == 0 {
			var got wire.GetMessagesResponse
			in, err := wire.Marshal(wire.GetMessagesRequest{Destination: r.id, MessagesRequestID: uuid.NewString(), VisibilityTimeoutInSeconds: 10})
			if err != nil {
				r.Fatal(err)
			}
			r.decode(r.call(wire.TargetMessageDelivery, wire.OpGetMessages, "ec2messages", string(in)), &got)
			r.waiting = got.Messages
		}
		got := r.waiting[0]
		r.waiting = r.waiting[1:]
		learn(got.MessageID)
		r.same(m.Payload, got.Payload)
		if got.Topic != r.now(m.Topic) || got.Destination != r.id {
			r.Errorf("message %+v, recorded %+v", got, m)
		}
	}
}

// ask asks the service for what a recorded job asks for. What it gives has to be
// called with the id of the job that came.
func (r *replay) ask(jobID, topic, content string) func(string) {
	r.Helper()
	oldCommand, _, err := wire.ParseJobID(jobID)
	if err != nil {
		r.Fatal(err)
	}
	learn := func(job string) {
		command, _, err := wire.ParseJobID(job)
		if err != nil {
			r.Fatal(err)
		}
		r.names = append(r.names, oldCommand, command)
		r.commands[oldCommand] = command
	}
	if wire.IsTopic(topic, wire.TopicCancelCommand) {
		var c wire.CancelPayload
		r.decode(r.now(content), &c)
		command, _, err := wire.ParseJobID(c.CancelMessageID)
		if err == nil {
			_, err = r.s.SSM().CancelCommand(r.Context(), &ssm.CancelCommandInput{CommandId: &command})
		}
		if err != nil {
			r.Fatal(err)
		}
		return learn
	}
	var p wire.SendCommandPayload
	r.decode(content, &p)
	parameters := map[string][]string{}
	for name, v := range p.Parameters {
		switch v := v.(type) {
		case string:
			parameters[name] = []string{v}
		case []any:
			for _, line := range v {
				parameters[name] = append(parameters[name], line.(string)) //nolint:forcetypeassert // a test
			}
		}
	}
	if p.DocumentName != shell {
		text := string(p.DocumentContent)
		_, err := r.s.SSM().CreateDocument(r.Context(), &ssm.CreateDocumentInput{Name: &p.DocumentName, Content: &text, DocumentType: types.DocumentTypeCommand})
		if err != nil {
			r.Fatal(err)
		}
	}
	_, err = r.s.SSM().SendCommand(r.Context(), &ssm.SendCommandInput{InstanceIds: []string{r.id}, DocumentName: aws.String(p.DocumentName), Parameters: parameters})
	if err != nil {
		r.Fatal(err)
	}
	return learn
}

// same compares a payload with the recorded one.
func (r *replay) same(old, now string) {
	r.Helper()
	var want, got any
	r.decode(r.now(old), &want)
	r.decode(now, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("what the agent gets is other than what was recorded (-recorded +now):\n%s", diff)
	}
}

// invocation compares what became of a command.
func (r *replay) invocation(text string) {
	r.Helper()
	var want invocationLine
	r.decode(text, &want)
	command := r.commands[want.Command]
	in := &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &r.id}
	if want.Step != "" {
		in.PluginName = &want.Step
	}
	out, err := r.s.SSM().GetCommandInvocation(r.Context(), in)
	if err != nil {
		r.Fatal(err)
	}
	got := invocationLine{want.Command, want.Step, *out.StatusDetails, *out.StandardOutputContent, *out.StandardErrorContent, out.ResponseCode}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("what became of the command (-recorded +now):\n%s", diff)
	}
}
