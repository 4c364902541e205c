package daemon_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/coder/websocket"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// wireAgent is an agent that does nothing by itself: the test says what it sends.
// Its requests are signed with keys that it has from the service.
type wireAgent struct {
	t    *testing.T
	ctx  context.Context
	s    *testenv.Service
	key  *rsa.PrivateKey
	id   string
	keys sigv4.Keys
}

const fingerprint = "d6ced2fc-0000-4000-8000-000000000000"

func newKey(t *testing.T) (key *rsa.PrivateKey, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, base64.StdEncoding.EncodeToString(der)
}

// registered is an agent that has registered, and has keys.
func registered(t *testing.T, s *testenv.Service) *wireAgent {
	t.Helper()
	a := &wireAgent{t: t, ctx: testenv.Context(t), s: s}
	act, err := s.SSM().CreateActivation(a.ctx, &ssm.CreateActivationInput{IamRole: aws.String(testenv.DefaultRole)})
	if err != nil {
		t.Fatal(err)
	}
	var public string
	a.key, public = newKey(t)
	var out wire.RegisterManagedInstanceResponse
	a.ssm(wire.OpRegisterManagedInstance, wire.RegisterManagedInstanceRequest{
		ActivationCode: *act.ActivationCode, ActivationID: *act.ActivationId, Fingerprint: fingerprint,
		PublicKey: public, PublicKeyType: wire.KeyTypeRSA,
	}, &out, nil)
	a.id = out.InstanceID
	a.token()
	return a
}

// byKey signs with the registered key.
func (a *wireAgent) byKey(r *http.Request, body []byte) {
	a.t.Helper()
	if err := sigv4.SignRSA(r, body, a.id, a.key, "ssm", a.s.Region, time.Now()); err != nil {
		a.t.Fatal(err)
	}
}

func (a *wireAgent) token() wire.RequestManagedInstanceRoleTokenResponse {
	a.t.Helper()
	var out wire.RequestManagedInstanceRoleTokenResponse
	a.ssm(wire.OpRequestManagedInstanceRoleToken, wire.RequestManagedInstanceRoleTokenRequest{Fingerprint: fingerprint}, &out, a.byKey)
	a.keys = sigv4.Keys{AccessKeyID: out.AccessKeyID, SecretAccessKey: out.SecretAccessKey, SessionToken: out.SessionToken}
	return out
}

func (a *wireAgent) ssm(op string, in, out any, sign func(*http.Request, []byte)) {
	a.t.Helper()
	if code, err := a.try(wire.TargetSSM+op, in, out, sign); err != nil || code != "" {
		a.t.Fatalf("%s: %s %v", op, code, err)
	}
}

// mds calls the message delivery service; code is that of a refusal.
func (a *wireAgent) mds(op string, in, out any) (code string, err error) {
	return a.try(wire.TargetMessageDelivery+op, in, out, func(r *http.Request, body []byte) {
		sigv4.Sign(r, body, a.keys, wire.ServiceMessageDelivery, a.s.Region, time.Now())
	})
}

func (a *wireAgent) must(op string, in any) {
	a.t.Helper()
	var out map[string]any
	if code, err := a.mds(op, in, &out); err != nil || code != "" {
		a.t.Fatalf("%s: %s %v", op, code, err)
	}
}

func (a *wireAgent) try(target string, in, out any, sign func(*http.Request, []byte)) (code string, err error) {
	body, err := wire.Marshal(in)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(a.ctx, http.MethodPost, a.s.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", wire.ContentType)
	r.Header.Set("X-Amz-Target", target)
	if sign != nil {
		sign(r, body)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e wire.ErrorBody
		err := json.NewDecoder(resp.Body).Decode(&e)
		return e.Type, err
	}
	return "", json.NewDecoder(resp.Body).Decode(out)
}

// message polls until there is one message.
func (a *wireAgent) message() wire.Message {
	a.t.Helper()
	for {
		var out wire.GetMessagesResponse
		code, err := a.mds(wire.OpGetMessages, wire.GetMessagesRequest{Destination: a.id, MessagesRequestID: "r", VisibilityTimeoutInSeconds: 1}, &out)
		switch {
		case err != nil || code != "" || len(out.Messages) > 1:
			a.t.Fatalf("poll: %s %v, %d messages", code, err, len(out.Messages))
		case len(out.Messages) == 1:
			return out.Messages[0]
		}
	}
}

func (a *wireAgent) reply(id, status string, plugins map[string]wire.PluginStatus) {
	a.t.Helper()
	payload, err := wire.Marshal(wire.Reply{DocumentStatus: status, RuntimeStatus: plugins})
	if err != nil {
		a.t.Fatal(err)
	}
	a.must(wire.OpSendReply, wire.SendReplyRequest{MessageID: id, Payload: string(payload), ReplyID: "reply"})
}

func (a *wireAgent) success(id string) {
	a.t.Helper()
	a.reply(id, wire.StatusSuccess, map[string]wire.PluginStatus{"aws:runShellScript": {Status: wire.StatusSuccess, StandardOutput: "out\n"}})
}

// channel opens the control channel.
func (a *wireAgent) channel() *websocket.Conn {
	a.t.Helper()
	path := wire.ControlChannelPath(a.id)
	body := []byte(`{"MessageSchemaVersion":"1.0","RequestId":"r"}`)
	r, err := http.NewRequestWithContext(a.ctx, http.MethodPost, a.s.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	sigv4.Sign(r, body, a.keys, "ssmmessages", a.s.Region, time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(resp.Body); err != nil {
		a.t.Fatal(err)
	}
	created, err := wire.DecodeCreateControlChannelResponse(raw.Bytes())
	if err != nil {
		a.t.Fatalf("%d %s: %v", resp.StatusCode, raw.String(), err)
	}
	u := a.s.Endpoint + path + "?" + wire.ControlChannelQuery
	if r, err = http.NewRequestWithContext(a.ctx, http.MethodGet, u, nil); err != nil {
		a.t.Fatal(err)
	}
	sigv4.Sign(r, nil, a.keys, "ssmmessages", a.s.Region, time.Now())
	conn := a.dial("ws"+strings.TrimPrefix(u, "http"), r.Header)
	conn.SetReadLimit(wire.MaxFrameBytes)
	a.t.Cleanup(func() { _ = conn.CloseNow() })
	hello, err := json.Marshal(wire.OpenControlChannel{MessageSchemaVersion: "1.0", RequestID: "r", TokenValue: created.TokenValue})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := conn.Write(a.ctx, websocket.MessageText, hello); err != nil {
		a.t.Fatal(err)
	}
	return conn
}

func (a *wireAgent) dial(url string, header http.Header) *websocket.Conn {
	a.t.Helper()
	conn, resp, err := websocket.Dial(a.ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		a.t.Fatal(err)
	}
	return conn
}

// job reads the next job of a channel.
func (a *wireAgent) job(conn *websocket.Conn) wire.AgentJob {
	a.t.Helper()
	for {
		f, err := wire.Next(a.ctx, conn.Reader, websocket.MessageBinary)
		if err != nil {
			a.t.Fatal(err)
		}
		var j wire.AgentJob
		if f.Type == wire.TypeAgentJob {
			if err := wire.Unmarshal(f.Payload, &j); err != nil {
				a.t.Fatal(err)
			}
			return j
		}
	}
}

// say sends a frame.
func (a *wireAgent) say(conn *websocket.Conn, typ string, payload any) {
	a.t.Helper()
	f, err := wire.NewFrame(typ, time.Now(), payload)
	if err == nil {
		err = conn.Write(a.ctx, websocket.MessageBinary, f.Encode())
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *wireAgent) send() (command string) {
	a.t.Helper()
	out, err := a.s.SSM().SendCommand(a.ctx, &ssm.SendCommandInput{
		InstanceIds: []string{a.id}, DocumentName: aws.String("AWS-RunShellScript"),
		Parameters: map[string][]string{"commands": {"true"}},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return *out.Command.CommandId
}

// status gives an invocation's, and its output.
func (a *wireAgent) status(command string) (types.CommandInvocationStatus, string) {
	a.t.Helper()
	out, err := a.s.SSM().GetCommandInvocation(a.ctx, &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &a.id})
	if err != nil {
		a.t.Fatal(err)
	}
	return out.Status, aws.ToString(out.StandardOutputContent)
}

func (a *wireAgent) wantSuccess(command string) {
	a.t.Helper()
	if s, out := a.status(command); s != types.CommandInvocationStatusSuccess || out != "out\n" {
		a.t.Errorf("status %s, output %q", s, out)
	}
}

// TestPolls: an agent that only polls is Online and runs commands.
func TestPolls(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	a := registered(t, s)
	command := a.send() // it waits for the agent
	m := a.message()
	a.reply(m.MessageID, wire.StatusInProgress, nil)
	a.must(wire.OpAcknowledgeMessage, wire.AcknowledgeMessageRequest{MessageID: m.MessageID})
	info, err := s.SSM().DescribeInstanceInformation(a.ctx, &ssm.DescribeInstanceInformationInput{})
	if err != nil || len(info.InstanceInformationList) != 1 || info.InstanceInformationList[0].PingStatus != types.PingStatusOnline {
		t.Errorf("%+v, %v", info, err)
	}
	conn, err := s.SSM().GetConnectionStatus(a.ctx, &ssm.GetConnectionStatusInput{Target: &a.id})
	if err != nil || conn.Status != types.ConnectionStatusConnected {
		t.Errorf("%+v, %v", conn, err)
	}
	a.success(m.MessageID)
	a.wantSuccess(command)
	var out wire.GetEndpointResponse
	if code, err := a.mds(wire.OpGetEndpoint, wire.GetEndpointRequest{Destination: a.id}, &out); err != nil || code != "" || out.Endpoint != s.Endpoint {
		t.Errorf("endpoint %q, %s %v", out.Endpoint, code, err)
	}
}

// TestPollsAreSigned for their own service, by the instance itself.
func TestPollsAreSigned(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	a, other := registered(t, s), registered(t, s)
	req := wire.GetMessagesRequest{Destination: a.id}
	target := wire.TargetMessageDelivery + wire.OpGetMessages
	sign := func(keys sigv4.Keys, service string) func(*http.Request, []byte) {
		return func(r *http.Request, body []byte) {
			sigv4.Sign(r, body, keys, service, s.Region, time.Now())
		}
	}
	for name, c := range map[string]struct {
		sign func(*http.Request, []byte)
		code string
	}{
		"unsigned":              {nil, "MissingAuthenticationTokenException"},
		"for another service":   {sign(a.keys, "ssm"), "InvalidSignatureException"},
		"by another instance":   {sign(other.keys, "ec2messages"), "InvalidDestinationException"},
		"by the registered key": {a.byKey, "InvalidSignatureException"},
	} {
		var out map[string]any
		if code, err := a.try(target, req, &out, c.sign); err != nil || code != c.code {
			t.Errorf("%s: %q, %v, want %s", name, code, err, c.code)
		}
	}
	// Deregistered, it is not who it was: not denied, which would have a genuine
	// agent be silent for half an hour, but unknown.
	if _, err := s.SSM().DeregisterManagedInstance(a.ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &a.id}); err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if code, err := a.mds(wire.OpGetMessages, req, &out); err != nil || code != "UnrecognizedClientException" {
		t.Errorf("deregistered: %q, %v", code, err)
	}
}

// TestDeregisteredInAPoll ends the poll that is open, and takes nothing from the
// instance beside it.
func TestDeregisteredInAPoll(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	a, other := registered(t, s), registered(t, s)
	done := make(chan string, 1)
	go func() {
		var out map[string]any
		code, err := a.mds(wire.OpGetMessages, wire.GetMessagesRequest{Destination: a.id}, &out)
		if err != nil {
			code = err.Error()
		}
		done <- code
	}()
	for {
		conn, err := s.SSM().GetConnectionStatus(a.ctx, &ssm.GetConnectionStatusInput{Target: &a.id})
		if err != nil {
			t.Fatal(err)
		}
		if conn.Status == types.ConnectionStatusConnected {
			break
		}
	}
	command := other.send()
	if _, err := s.SSM().DeregisterManagedInstance(a.ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &a.id}); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != "InvalidInstanceId" {
		t.Errorf("the open poll: %q", code)
	}
	other.success(other.message().MessageID)
	other.wantSuccess(command)
}

// TestDeliverySurvives what may happen in the middle of a command.
func TestDeliverySurvives(t *testing.T) {
	t.Parallel()
	t.Run("restart before the acknowledgement", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		command := a.send()
		m := a.message()
		s.Kill()
		s.Restart()
		if again := a.message(); again.MessageID != m.MessageID {
			t.Errorf("%s, then %s", m.MessageID, again.MessageID)
		}
		a.success(m.MessageID)
		a.wantSuccess(command)
	})
	t.Run("restart in the middle", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		command := a.send()
		m := a.message()
		a.reply(m.MessageID, wire.StatusInProgress, nil)
		s.Kill()
		s.Restart()
		// It goes on where it was, before it has polled.
		a.must(wire.OpAcknowledgeMessage, wire.AcknowledgeMessageRequest{MessageID: m.MessageID})
		a.success(m.MessageID)
		a.wantSuccess(command)
		next := a.send()
		if m := a.message(); m.MessageID != wire.JobID(next, a.id) {
			t.Errorf("it came again: %s", m.MessageID)
		}
	})
	t.Run("from polls to the websocket and back", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		command := a.send()
		m := a.message()
		conn := a.channel()
		if j := a.job(conn); j.JobID != m.MessageID { // once it is not hidden any more
			t.Errorf("%s, then %s", m.MessageID, j.JobID)
		}
		_ = conn.CloseNow() // without a word
		if again := a.message(); again.MessageID != m.MessageID {
			t.Errorf("%s, then %s", m.MessageID, again.MessageID)
		}
		a.success(m.MessageID)
		a.success(m.MessageID) // it missed the answer
		a.wantSuccess(command)
	})
	t.Run("restart before the acknowledgement, over the websocket", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		command := a.send()
		j := a.job(a.channel())
		s.Kill()
		s.Restart()
		conn := a.channel()
		if again := a.job(conn); again.JobID != j.JobID {
			t.Errorf("%s, then %s", j.JobID, again.JobID)
		}
		a.say(conn, wire.TypeAgentJobAck, wire.AgentJobAck{JobID: j.JobID, StatusCode: wire.AckDuplicateCommand})
		a.success(j.JobID)
		a.wantSuccess(command)
		s.Kill()
		s.Restart()
		a.reply(j.JobID, wire.StatusFailed, nil) // too late, and of a job that is over
		a.wantSuccess(command)
		next := a.send()
		if k := a.job(a.channel()); k.JobID != wire.JobID(next, a.id) {
			t.Errorf("what was over came again: %s", k.JobID)
		}
	})
	t.Run("a cancel over a restart", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		command := a.send()
		conn := a.channel()
		j := a.job(conn)
		a.say(conn, wire.TypeAgentJobAck, wire.AgentJobAck{JobID: j.JobID, StatusCode: wire.AckOK})
		a.reply(j.JobID, wire.StatusInProgress, nil)
		if _, err := s.SSM().CancelCommand(a.ctx, &ssm.CancelCommandInput{CommandId: &command}); err != nil {
			t.Fatal(err)
		}
		a.job(conn) // the cancel, of which the agent says nothing
		s.Kill()
		s.Restart()
		var p wire.CancelPayload
		if c := a.job(a.channel()); wire.Unmarshal([]byte(c.Content), &p) != nil || p.CancelMessageID != j.JobID {
			t.Errorf("after the restart: %+v", c)
		}
		a.reply(j.JobID, wire.StatusCancelled, nil)
		if status, _ := a.status(command); status != types.CommandInvocationStatusCancelled {
			t.Errorf("status %s", status)
		}
	})
	t.Run("a reconnect, and replies out of order", func(t *testing.T) {
		t.Parallel()
		s := testenv.Start(t, testenv.Options{})
		a := registered(t, s)
		conn := a.channel()
		command := a.send()
		j := a.job(conn)
		again := a.channel() // the older is not closed by the agent
		if k := a.job(again); k.JobID != j.JobID {
			t.Errorf("%s, then %s", j.JobID, k.JobID)
		}
		a.success(j.JobID)
		a.reply(j.JobID, wire.StatusInProgress, nil)
		a.wantSuccess(command)
	})
}

// TestRotateAgentKeys: an agent whose key is old is asked for a new one, with
// which it goes on; the old one is worth nothing then.
func TestRotateAgentKeys(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Args: []string{"--rotate-agent-keys", "1h"}})
	a := registered(t, s)
	if a.token().UpdateKeyPair {
		t.Error("a fresh key is old")
	}
	s.SetArgs("--rotate-agent-keys", "1ns")
	s.Stop()
	s.Restart()
	if !a.token().UpdateKeyPair {
		t.Fatal("an old key is fresh")
	}
	old := a.key
	next, public := newKey(t)
	var out map[string]any
	a.ssm(wire.OpUpdateManagedInstancePublicKey, wire.UpdateManagedInstancePublicKeyRequest{NewPublicKey: public, NewPublicKeyType: wire.KeyTypeRSA}, &out, a.byKey)
	req := wire.RequestManagedInstanceRoleTokenRequest{Fingerprint: fingerprint}
	if code, err := a.try(wire.TargetSSM+wire.OpRequestManagedInstanceRoleToken, req, &out, a.byKey); err != nil || code != "InvalidSignatureException" {
		t.Errorf("with the old key: %q, %v", code, err)
	}
	a.key = next
	s.SetArgs("--rotate-agent-keys", "1h")
	s.Stop()
	s.Restart()
	if a.token().UpdateKeyPair {
		t.Error("the new key is old after a restart")
	}
	if a.key == old {
		t.Error("the key is the same")
	}
}

// TestAgentsCallsThatThereAreNot: what an agent's role allows on AWS, and this
// service has not, is unknown; what is callers' is denied.
func TestAgentsCallsThatThereAreNot(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	a := registered(t, s)
	for target, want := range map[string]string{
		wire.TargetSSM + "PutInventory":                  "UnknownOperationException",
		wire.TargetSSM + "UpdateAssociationStatus":       "UnknownOperationException",
		wire.TargetSSM + "SendCommand":                   "AccessDeniedException",
		wire.TargetMessageDelivery + "PutMessages":       "UnknownOperationException",
		"AmazonSSMMessageGatewayService.OpenDataChannel": "UnknownOperationException",
	} {
		service := "ssm"
		if strings.HasPrefix(target, wire.TargetMessageDelivery) {
			service = wire.ServiceMessageDelivery
		}
		var out map[string]any
		code, err := a.try(target, struct{}{}, &out, func(r *http.Request, body []byte) {
			sigv4.Sign(r, body, a.keys, service, s.Region, time.Now())
		})
		if err != nil || code != want {
			t.Errorf("%s: %q, %v, want %s", target, code, err, want)
		}
	}
}
