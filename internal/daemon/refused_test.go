package daemon_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// wantReason looks for the reason of a command that the agent did not take, where
// callers look for it.
func wantReason(t *testing.T, s *testenv.Service, command, instance string, texts ...string) {
	t.Helper()
	ctx, client := testenv.Context(t), s.SSM()
	if c := waitBy(t, client, command); c.Status != "Failed" {
		t.Errorf("the command is %s/%s", c.Status, aws.ToString(c.StatusDetails))
	}
	list, err := client.ListCommandInvocations(ctx, &ssm.ListCommandInvocationsInput{CommandId: &command})
	if err != nil || len(list.CommandInvocations) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	got, err := client.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &instance})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "Failed" || got.ResponseCode != -1 {
		t.Errorf("%s, code %d", got.Status, got.ResponseCode)
	}
	for where, text := range map[string]string{
		"TraceOutput": aws.ToString(list.CommandInvocations[0].TraceOutput), "StandardErrorContent": aws.ToString(got.StandardErrorContent),
	} {
		for _, want := range texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s is %q, without %q", where, text, want)
			}
		}
	}
}

// TestRefusedByTheAgent: a command that the agent does not take ends Failed, its
// reason is told to whoever asks for the result, and the next one runs.
func TestRefusedByTheAgent(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	t.Run("a full disk", func(t *testing.T) {
		t.Parallel()
		ctx, client := testenv.Context(t), s.SSM()
		activation, secret := activate(t, client, &ssm.CreateActivationInput{})
		log := startAgent(t, s, filepath.Join(t.TempDir(), "state"), "--activation-file", activationFile(t, s, activation, secret), "--min-free-disk", "1000000000000000")
		awaitLine(t, log, "connected to the service")
		list := describe(t, client, by("ActivationIds", activation))
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{InstanceIds: infoIDs(list), DocumentName: aws.String("AWS-RunShellScript"), Parameters: shell("true")})
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, s, *out.Command.CommandId, infoIDs(list)[0], "51499", "are free for the agent's folder", "free some space on the instance and send the command again")
	})
	const reason = "the document X cannot be read: \"mainSteps\" must be a list"
	t.Run("over the websocket", func(t *testing.T) {
		t.Parallel()
		a := registered(t, s)
		conn := a.channel()
		command := a.send()
		j := a.job(conn)
		a.say(conn, wire.TypeAgentJobAck, wire.AgentJobAck{JobID: j.JobID, StatusCode: wire.AckParseError, ErrorMessage: reason})
		wantReason(t, s, command, a.id, "51408", reason)
		next := a.send()
		a.success(a.job(conn).JobID)
		a.wantSuccess(next)
	})
	t.Run("over polls", func(t *testing.T) {
		t.Parallel()
		a := registered(t, s)
		command := a.send()
		m := a.message()
		payload, err := wire.Marshal(wire.Reply{DocumentStatus: wire.StatusFailed, DocumentTraceOutput: reason})
		if err != nil {
			t.Fatal(err)
		}
		// As our agent does: the reason first, then what ends it.
		a.must(wire.OpSendReply, wire.SendReplyRequest{MessageID: m.MessageID, Payload: string(payload), ReplyID: "reply"})
		a.must(wire.OpFailMessage, wire.FailMessageRequest{MessageID: m.MessageID, FailureType: wire.FailureInternal})
		wantReason(t, s, command, a.id, reason)
		next := a.send()
		a.success(a.message().MessageID)
		a.wantSuccess(next)
	})
}

// TestAnothersChannel: keys of one instance open no channel of another, by either
// call; the answer names both, and its own channel goes on.
func TestAnothersChannel(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	a, other := registered(t, s), registered(t, s)
	conn := a.channel()
	path := s.Endpoint + wire.ControlChannelPath(other.id)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		body, url := `{"MessageSchemaVersion":"1.0","RequestId":"r"}`, path
		if method == http.MethodGet {
			body, url = "", path+"?"+wire.ControlChannelQuery
		}
		r, err := http.NewRequestWithContext(a.ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sigv4.Sign(r, []byte(body), a.keys, "ssmmessages", s.Region, time.Now())
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(answer), "AccessDeniedException") || !strings.Contains(string(answer), other.id) {
			t.Errorf("%s: %d %s, %v", method, resp.StatusCode, answer, err)
		}
	}
	testenv.WaitFor(a.ctx, t, "the service's word on both", func() (bool, error) {
		log := s.Log()
		return strings.Count(log, `msg="control channel refused" instance=`+other.id) == 2 && strings.Contains(log, "it is another instance's"), nil
	})
	command := a.send()
	a.success(a.job(conn).JobID)
	a.wantSuccess(command)
}
