package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"ssmrun"
	"ssmrun/internal/agent/output"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// streams is the output of a step: the head in memory, for the reply, and where
// the command names a bucket the whole on its way into S3.
type streams struct {
	a              *Agent
	stdout, stderr stream
	folder         string // of what waits for its upload; "" for none
	notes          []string
	release        func() // ends the uploads' context
}

// stream is one of them.
type stream struct {
	io.Writer // to both

	head  *executor.Capture
	whole *output.Stream // nil where nothing is uploaded
}

// newStreams makes the streams of a step. kept is the folder with what it wrote
// before the host was restarted; "" where it begins.
func (a *Agent) newStreams(c *command, g group, kept string) *streams {
	s := &streams{a: a, stdout: newStream(), stderr: newStream(), release: func() {}}
	if c.payload.OutputS3BucketName == "" {
		return s
	}
	dir := a.stepFolder(c, g[0], ".output")
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.notes = append(s.notes, fmt.Sprintf("the output could not be kept for S3: %v", innermost(err)))
		return s
	}
	s.folder = dir
	var ctx context.Context
	ctx, s.release = a.untilStopped(a.cfg.stopGrace)
	prefix, step := objectPrefix(c, g, a.identity.InstanceID)
	for name, to := range map[string]*stream{"stdout": &s.stdout, "stderr": &s.stderr} {
		target := output.Target{
			Bucket: c.payload.OutputS3BucketName, Key: prefix + "/" + step + "/" + name, Name: name, Dir: dir,
			ID: fmt.Sprintf("%s.%d.%s", c.entry.Key(), g[0].Index, name), Limit: a.cfg.OutputLimit,
		}
		if kept != "" {
			var err error
			if to.whole, err = a.uploader.Resume(ctx, target, kept); err != nil {
				s.notes = append(s.notes, fmt.Sprintf("what the step wrote to %s before the restart of the host is not in S3: %v", name, innermost(err)))
			}
		}
		if to.whole == nil {
			to.whole = a.uploader.Stream(ctx, target)
		}
		to.Writer = io.MultiWriter(to.head, to.whole) // neither ever fails
	}
	return s
}

func newStream() stream {
	// One character more than is reported shows that there is more.
	head := executor.NewCapture(ssmrun.MaxStreamChars + 1)
	return stream{Writer: head, head: head}
}

// finish uploads the output and gives the step's result with its head.
func (s *streams) finish(c *command, g group, r plugin.Result) wire.PluginStatus {
	p := wire.PluginStatus{Status: statusWord(r.Status), Code: r.Code, Name: g.action()}
	stderr := string(s.stderr.head.Head())
	if c.payload.OutputS3BucketName != "" {
		p.OutputS3BucketName = c.payload.OutputS3BucketName
		p.OutputS3KeyPrefix, p.StepName = objectPrefix(c, g, s.a.identity.InstanceID)
	}
	if s.folder != "" {
		s.upload(r.Note)
		s.a.removeFolder(s.folder)
	}
	notes := s.notes
	if r.Note != "" {
		notes = append([]string{r.Note}, notes...)
	}
	p.StandardOutput = ssmrun.CutStream(string(s.stdout.head.Head()), ssmrun.MaxStreamChars)
	p.StandardError = withNote(stderr, strings.Join(notes, "\n"))
	p.Output = ssmrun.Join(p.StandardOutput, p.StandardError)
	return p
}

// upload waits until both streams are in the command's bucket, the agent's note
// at the end of stderr. What goes wrong becomes a note: the step's status is the
// script's.
func (s *streams) upload(note string) {
	defer s.release()
	if note != "" {
		if n := s.stderr.head.Total(); n > 0 && !strings.HasSuffix(string(s.stderr.head.Head()), "\n") {
			note = "\n" + note
		}
		_, _ = s.stderr.Write([]byte(note))
	}
	var notes [2][]string
	var both sync.WaitGroup
	for i, whole := range []*output.Stream{s.stdout.whole, s.stderr.whole} {
		both.Go(func() { notes[i] = whole.Finish() })
	}
	both.Wait()
	s.notes = append(append(s.notes, notes[0]...), notes[1]...)
}

// objectPrefix is where the outputs of a step lie, in AWS's layout:
// PREFIX/COMMAND/INSTANCE/awsrunShellScript and then the step, which for a
// document of schema 1.x is the property's id without its colon.
func objectPrefix(c *command, g group, instanceID string) (prefix, step string) {
	action := strings.ReplaceAll(g.action(), ":", "")
	step = g.name()
	if isOld(c.doc) {
		step = strings.ReplaceAll(g[0].ID, ":", "")
		setDefault(&step, "0."+action)
	}
	prefix = c.id + "/" + instanceID + "/" + action
	if p := strings.Trim(c.payload.OutputS3KeyPrefix, "/"); p != "" {
		prefix = p + "/" + prefix
	}
	return prefix, step
}

// isOld tells whether the document's steps are properties of plugins.
func isOld(d *document.Document) bool { return strings.HasPrefix(d.SchemaVersion, "1.") }
