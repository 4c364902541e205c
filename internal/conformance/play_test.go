package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ssmrun/internal/testenv"
)

// How long what is waited for may take, and how often it is looked at.
const (
	patience = 2 * time.Minute  // for a command to be over
	soon     = 20 * time.Second // for any other state
	glance   = 50 * time.Millisecond
)

// otherAccount is one that documents are shared with.
const otherAccount = "111122223333"

// player asks one case's question.
type player struct {
	*station
	one    *theCase
	plan   *plan
	values map[string]string
	ids    []string
	marker string // made by the script when it is at work
}

// play makes the circumstances, asks, and gives what differs: a line each.
func (w *world) play(ctx context.Context, one *theCase, p *plan, n int, scratch string) []string {
	if p.missing != "" {
		return []string{"circumstances: " + p.missing}
	}
	s := w.services[p.place]
	if s.lacks != "" {
		return []string{"circumstances: " + s.lacks}
	}
	// Tags go to the same nodes always: who counts what they match finds these.
	ids, done := s.lease(p.nodes, p.paused || p.when == cancelling || len(p.tags) > 0)
	defer done()
	pl := &player{station: s, one: one, plan: p, ids: ids, marker: filepath.Join(scratch, fmt.Sprintf("case-%d", n))}
	pl.values = map[string]string{
		"region": s.Region, "account": s.AccountID, "caller-arn": s.caller,
		"bucket": bucket, "document": documentName(one.ID, n), "group": p.group, "group-2": p.group + "-2",
		"log-group": "conformance-logs", "alarm": "conformance-alarm", "alarm-2": "conformance-alarm-2",
		"role-arn":  "arn:aws:iam::" + s.AccountID + ":role/conformance",
		"topic-arn": "arn:aws:sns:" + s.Region + ":" + s.AccountID + ":conformance",
	}
	for i, id := range ids {
		pl.values["instance-"+string(rune('a'+i))] = id
	}
	pl.values["instance-id"] = ids[0]
	if p.gone {
		pl.values["instance-id"] = "i-0fedcba9876543210" // nobody knows it
	}
	if p.foreign {
		pl.values["account"] = otherAccount
	}
	if p.hash != "" {
		pl.values["hash"] = sha256Hex(p.hash)
	}
	pl.output(p.stdout)
	got, err := pl.ask(ctx)
	if err != nil {
		return []string{"circumstances: " + err.Error()}
	}
	return compare(one, pl.values, got)
}

var firstOf = regexp.MustCompile(`first (\d+) characters of stdout`)

// output binds the placeholders that are parts of what a script printed.
func (pl *player) output(stdout string) {
	if stdout == "" {
		return
	}
	pl.values["all of stdout"] = stdout
	walk(any(pl.one.Output), func(s string) {
		if m := firstOf.FindStringSubmatch(s); m != nil {
			pl.values[m[0]] = stdout[:min(number(m[1]), len(stdout))]
		}
	})
}

// ask makes the circumstances and asks the question.
func (pl *player) ask(ctx context.Context) (*answer, error) {
	for _, r := range append(pl.plan.documents, pl.plan.tags...) {
		if err := pl.do(ctx, r); err != nil {
			return nil, err
		}
	}
	goOn := func() {}
	defer func() { goOn() }()
	var err error
	if pl.plan.paused {
		if goOn, err = pl.pause(pl.ids); err != nil {
			return nil, err
		}
	}
	if mentions("command-id", any(pl.one.Input)) {
		pl.values["command-id"] = uuid.NewString() // of a command that never was
	}
	if pl.plan.send != nil {
		if err := pl.send(ctx); err != nil {
			return nil, err
		}
		defer pl.tidy(ctx)
	}
	if pl.plan.when == cancelling {
		if goOn, err = pl.pause(pl.ids); err != nil {
			return nil, err
		}
	}
	if pl.plan.cancel {
		if err := pl.do(ctx, request{"CancelCommand", map[string]any{"CommandId": "<command-id>"}}); err != nil {
			return nil, err
		}
	}
	if pl.plan.send != nil && pl.plan.when == settled {
		if err := settle(ctx, pl.Service, pl.values["command-id"]); err != nil {
			return nil, err
		}
	}
	for range pl.plan.writes {
		if err := pl.write(ctx); err != nil {
			return nil, err
		}
	}
	return pl.question(ctx)
}

// send sends the command that the question is about, and waits until its script
// is at work where that counts.
func (pl *player) send(ctx context.Context) error {
	input := copyOf(pl.plan.send)
	waits := pl.plan.when == running || pl.plan.cancel
	if waits {
		if err := pl.mark(input); err != nil {
			return err
		}
	}
	got, err := call(ctx, pl.Service, "SendCommand", fill(input, pl.values))
	if err != nil {
		return err
	}
	if why := got.problem(); why != "" {
		return fmt.Errorf("SendCommand: %s", why)
	}
	pl.values["command-id"] = textAt(got.body, "Command", "CommandId")
	if !waits {
		return nil
	}
	return until(ctx, soon, "the script is at work", func() (bool, error) {
		_, err := os.Stat(pl.marker)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
}

// mark puts a line before the script's sleep that shows that it got there.
func (pl *player) mark(input map[string]any) error {
	lines, _ := at(input, "Parameters", "commands").([]any)
	for i, line := range lines {
		if s, ok := line.(string); ok && sleeps.MatchString(s) {
			lines[i] = ": > " + quote(pl.marker) + "\n" + s
			return nil
		}
	}
	return errors.New("the command's script has no sleep to be cancelled in")
}

// tidy ends a command that is still at work.
func (pl *player) tidy(ctx context.Context) {
	if pl.plan.when != settled && !pl.plan.cancel {
		_, _ = call(ctx, pl.Service, "CancelCommand", map[string]any{"CommandId": pl.values["command-id"]})
	}
}

// do makes a call of the set-up. What is throttled is made again; a document is
// waited for until it is Active.
func (pl *player) do(ctx context.Context, r request) error {
	input := fill(r.input, pl.values)
	var got *answer
	err := until(ctx, soon, r.operation+" is not throttled", func() (bool, error) {
		var err error
		got, err = call(ctx, pl.Service, r.operation, input)
		return err == nil && got.code() != "ThrottlingException", err
	})
	if err != nil {
		return err
	}
	if why := got.problem(); why != "" {
		return fmt.Errorf("%s: %s", r.operation, why)
	}
	if r.operation != "CreateDocument" && r.operation != "UpdateDocument" {
		return nil
	}
	return until(ctx, soon, "the document is Active", func() (bool, error) {
		got, err := call(ctx, pl.Service, "DescribeDocument", map[string]any{"Name": pl.values["document"], "DocumentVersion": "$LATEST"})
		return err == nil && textAt(got.body, "Document", "Status") == "Active", err
	})
}

// write is a document write like the one that is asked about, of another
// document.
func (pl *player) write(ctx context.Context) error {
	input := copyOf(pl.one.Input)
	input["Name"] = "conformance-" + uuid.NewString()
	got, err := call(ctx, pl.Service, "CreateDocument", fill(input, pl.values))
	if err == nil && got.problem() != "" && got.code() != "ThrottlingException" {
		err = fmt.Errorf("CreateDocument: %s", got.problem())
	}
	return err
}

// question asks. A state that is on its way is waited for: the answer that is
// compared is the first that has it, or the last.
func (pl *player) question(ctx context.Context) (*answer, error) {
	input := fill(pl.one.Input, pl.values)
	if pl.one.Operation == "S3:ListObjectsV2" {
		return pl.objects(ctx)
	}
	status, details := shownStates(pl.one.Operation, pl.one.Output)
	got, err := call(ctx, pl.Service, pl.one.Operation, input)
	if err == nil && got.code() == "ThrottlingException" && pl.one.Code != got.code() {
		got, err = call(ctx, pl.Service, pl.one.Operation, input) // as any client does
	}
	if err != nil || status == "" || pl.one.Operation == "SendCommand" {
		return got, err
	}
	err = until(ctx, soon, "the state", func() (bool, error) {
		s, d := shownStates(pl.one.Operation, got.body)
		if got.problem() == "" && s == status && d == details || isOver(s) {
			return true, nil
		}
		var err error
		got, err = call(ctx, pl.Service, pl.one.Operation, input)
		return false, err
	})
	if errors.Is(err, errNever) {
		err = nil // the comparison says it better
	}
	return got, err
}

// objects lists a bucket, with an SDK: the answer is no JSON.
func (pl *player) objects(ctx context.Context) (*answer, error) {
	out, err := pl.S3().ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: aws.String(fillText(textAt(pl.one.Input, "Bucket"), pl.values)),
		Prefix: aws.String(fillText(textAt(pl.one.Input, "Prefix"), pl.values)),
	})
	if err != nil {
		return nil, err
	}
	keys := []any{}
	for _, o := range out.Contents {
		if !strings.HasSuffix(*o.Key, "/") { // folders are not objects
			keys = append(keys, *o.Key)
		}
	}
	return &answer{status: 200, body: map[string]any{"Keys": keys}}, nil
}

// settle waits until a command is over.
func settle(ctx context.Context, s *testenv.Service, id string) error {
	return until(ctx, patience, "the command is over", func() (bool, error) {
		got, err := call(ctx, s, "ListCommands", map[string]any{"CommandId": id})
		if err != nil {
			return false, err
		}
		status, _ := shownStates("ListCommands", got.body)
		return isOver(status), nil
	})
}

var errNever = errors.New("waited in vain")

// until looks again and again.
func until(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w for %s until: %s", errNever, limit, what)
		case <-time.After(glance):
		}
	}
}
