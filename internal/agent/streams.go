package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ssmrun"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// streams is the output of a step: the head in memory, for the reply, and where
// the command names a bucket the whole in files, for S3.
type streams struct {
	a              *Agent
	stdout, stderr *executor.Capture
	folder         string    // of the files; "" for none
	files          [2]string // "" where nothing is uploaded
	notes          []string
}

func (a *Agent) newStreams(c *command, g group) *streams {
	// One character more than is reported shows that there is more.
	s := &streams{a: a, stdout: executor.NewCapture(ssmrun.MaxStreamChars + 1), stderr: executor.NewCapture(ssmrun.MaxStreamChars + 1)}
	if c.payload.OutputS3BucketName == "" {
		return s
	}
	dir := a.stepFolder(c, g[0], ".output")
	s.folder = dir
	err := os.Mkdir(dir, 0o700)
	for i, capture := range []*executor.Capture{s.stdout, s.stderr} {
		path := filepath.Join(dir, streamNames[i])
		if err == nil {
			err = capture.SpoolTo(path, a.cfg.OutputLimit)
		}
		if err == nil {
			s.files[i] = path
		}
	}
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("the output could not be kept for S3: %v", innermost(err)))
	}
	return s
}

var streamNames = [2]string{"stdout", "stderr"}

// finish uploads the output and gives the step's result with its head.
func (s *streams) finish(c *command, g group, r plugin.Result) wire.PluginStatus {
	p := wire.PluginStatus{Status: statusWord(r.Status), Code: r.Code, Name: g.action()}
	stderr := string(s.stderr.Head())
	if c.payload.OutputS3BucketName != "" {
		s.upload(c, g, r.Note, &p)
		s.a.removeFolder(s.folder)
	}
	notes := s.notes
	if r.Note != "" {
		notes = append([]string{r.Note}, notes...)
	}
	p.StandardOutput = ssmrun.CutStream(string(s.stdout.Head()), ssmrun.MaxStreamChars)
	p.StandardError = withNote(stderr, strings.Join(notes, "\n"))
	p.Output = ssmrun.Join(p.StandardOutput, p.StandardError)
	return p
}

// upload puts the streams that are not empty into the command's bucket. What
// goes wrong becomes a note: the step's status is the script's.
func (s *streams) upload(c *command, g group, note string, p *wire.PluginStatus) {
	if note != "" {
		if n := s.stderr.Total(); n > 0 && !strings.HasSuffix(string(s.stderr.Head()), "\n") {
			note = "\n" + note
		}
		_, _ = s.stderr.Write([]byte(note)) // a Capture never fails
	}
	prefix, step := objectPrefix(c, g, s.a.identity.InstanceID)
	p.OutputS3BucketName, p.OutputS3KeyPrefix, p.StepName = c.payload.OutputS3BucketName, prefix, step
	ctx, cancel := s.a.untilStopped(s.a.cfg.stopGrace)
	defer cancel()
	for i, capture := range []*executor.Capture{s.stdout, s.stderr} {
		if err := capture.Close(); err != nil {
			s.notes = append(s.notes, fmt.Sprintf("%s could not be kept whole for S3: %v", streamNames[i], innermost(err)))
		}
		size, cut := capture.Spooled()
		if s.files[i] == "" || size == 0 {
			continue
		}
		if cut {
			s.notes = append(s.notes, fmt.Sprintf("%s has %d bytes, of which the first %d were kept for S3", streamNames[i], capture.Total(), size))
		}
		key := prefix + "/" + step + "/" + streamNames[i]
		if err := s.a.uploader.Upload(ctx, c.payload.OutputS3BucketName, key, s.files[i], size); err != nil {
			s.notes = append(s.notes, streamNames[i]+": "+err.Error())
		}
		// The disk may be needed before the document ends.
		_ = os.Remove(s.files[i])
	}
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
