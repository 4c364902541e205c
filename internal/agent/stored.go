package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

const (
	// maxNames is how many names one GetParameters takes.
	maxNames = 10
	// maxStored bounds the references of one step.
	maxStored = 100
	// fetchTries and fetchTime bound how long a service that is away is waited
	// for.
	fetchTries = 5
	fetchTime  = 30 * time.Second

	typeSecureString = "SecureString"
	typeStringList   = "StringList"
)

// resolve gives a step's inputs and the variables of its scripts, with the
// stored parameters that they name. These are fetched each time anew and kept
// nowhere. Errors may be shown; they hold no values.
func (a *Agent) resolve(c *command, s document.Step) (inputs map[string]any, env map[string]string, err error) {
	inText, err := s.References(c.params)
	if err != nil {
		return nil, nil, err
	}
	inEnv, err := c.doc.EnvironmentReferences(c.params)
	if err != nil {
		return nil, nil, err
	}
	for _, ref := range inText {
		if strings.HasPrefix(ref, document.SecurePrefix) {
			return nil, nil, fmt.Errorf("{{%s}} stands in the step's inputs, where the secret would become part of the script's text: "+
				"give the reference as the value of a parameter whose interpolationType is ENV_VAR; "+
				"the script then reads the secret as $SSM_ and the name of that parameter", ref)
		}
	}
	var fetched map[string]document.Stored
	if len(inText)+len(inEnv) > 0 {
		if fetched, err = a.fetch(c.ctx, append(inText, inEnv...)); err != nil {
			return nil, nil, err
		}
		if err := c.doc.CheckStored(c.params, fetched); err != nil {
			return nil, nil, err
		}
	}
	if inputs, err = s.ResolveStored(c.params, fetched); err != nil {
		return nil, nil, err
	}
	env = c.env
	if len(inEnv) > 0 {
		env, err = c.doc.Environment(c.params, fetched)
	}
	return inputs, env, err
}

// fetch gets stored parameters by their references.
func (a *Agent) fetch(ctx context.Context, refs []string) (map[string]document.Stored, error) {
	plain, secure := map[string]string{}, map[string]string{} // name → reference
	for _, ref := range refs {
		if name, ok := strings.CutPrefix(ref, document.SecurePrefix); ok {
			secure[name] = ref
		} else {
			plain[strings.TrimPrefix(ref, document.StoredPrefix)] = ref
		}
	}
	if n := len(plain) + len(secure); n > maxStored {
		return nil, fmt.Errorf("it names %d stored parameters; at most %d are fetched for a step", n, maxStored)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	out := map[string]document.Stored{}
	if err := a.fetchInto(ctx, out, plain, false); err != nil {
		return nil, err
	}
	if err := a.fetchInto(ctx, out, secure, true); err != nil {
		return nil, err
	}
	return out, nil
}

// fetchInto fetches the parameters with these names.
func (a *Agent) fetchInto(ctx context.Context, out map[string]document.Stored, refs map[string]string, decrypt bool) error {
	for part := range slices.Chunk(slices.Sorted(maps.Keys(refs)), maxNames) {
		answer, err := a.askParameters(ctx, part, decrypt)
		if err != nil {
			var named []string
			for _, name := range part {
				named = append(named, "{{"+refs[name]+"}}")
			}
			return fmt.Errorf("the stored parameters %s could not be fetched: %w", strings.Join(named, ", "), err)
		}
		for _, p := range answer.Parameters {
			ref, ok := refs[p.Name+p.Selector]
			if !ok {
				ref, ok = refs[p.ARN+p.Selector]
			}
			if !ok {
				continue // nobody asked
			}
			if p.Type == typeSecureString && !decrypt {
				return fmt.Errorf("{{%s}} names a SecureString, whose value may not become part of a text: "+
					"write {{%s%s}}, as the value of a parameter whose interpolationType is ENV_VAR", ref, document.SecurePrefix, strings.TrimPrefix(ref, document.StoredPrefix))
			}
			out[ref] = document.Stored{Value: p.Value, List: p.Type == typeStringList}
		}
		for _, name := range part {
			if _, ok := out[refs[name]]; !ok {
				return fmt.Errorf("{{%s}} names a stored parameter, or a version of one, that does not exist: put it into the parameter store of the instance's region, or mend the name", refs[name])
			}
		}
	}
	return nil
}

// askParameters asks the service, again where it could not be reached.
func (a *Agent) askParameters(ctx context.Context, names []string, decrypt bool) (wire.GetParametersResponse, error) {
	pause := a.cfg.fetchPause
	for try := 1; ; try++ {
		answer, err := a.link.Parameters(ctx, names, decrypt)
		if err == nil || agentlink.Permanent(err) || try == fetchTries {
			return answer, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return answer, errors.Join(err, context.Cause(ctx))
		case <-t.C:
		}
		pause *= 2
	}
}
