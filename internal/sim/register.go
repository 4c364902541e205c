package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/agentlink"
)

// tries is how often a registration is tried that the service had no time for,
// or did not answer: two minutes altogether, about.
const tries = 12

// register makes the instances that are missing, and keeps whichever it made.
func (f *Fleet) register(ctx context.Context) error {
	missing := f.cfg.Agents - len(f.state.instances)
	if missing <= 0 {
		return nil
	}
	codes := &activations{list: f.cfg.Activations}
	todo := make(chan struct{}, missing)
	for range missing {
		todo <- struct{}{}
	}
	close(todo)
	var mu sync.Mutex
	var failed error
	one := func(r agentlink.Registrar) error {
		i, err := f.registerOne(ctx, r, codes)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			f.state.instances = append(f.state.instances, i)
		} else if failed == nil {
			failed = err
		}
		return failed
	}
	var wg sync.WaitGroup
	for n := range min(f.cfg.Dials, missing) {
		r := agentlink.Registrar{Endpoint: f.cfg.Place.endpoint(), HTTP: f.client(n)}
		wg.Go(func() {
			// After a failure the others finish what they have begun: a
			// registration whose answer nobody takes would be used up.
			for range todo {
				if one(r) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		failed = fmt.Errorf("register agents: %d of %d are: %w", len(f.state.instances), f.cfg.Agents, failed)
	}
	return errors.Join(failed, f.state.write(f.cfg.State))
}

func (f *Fleet) registerOne(ctx context.Context, r agentlink.Registrar, codes *activations) (instance, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return instance{}, fmt.Errorf("make fingerprint: %w", err)
	}
	i := instance{Fingerprint: id.String()}
	backoff := agentlink.Backoff{Min: time.Second, Max: 20 * time.Second}
	for try := 1; ; try++ {
		a, n, ok := codes.current()
		if !ok {
			return i, errors.New("no activation is left that takes more: give another --activation ID:CODE (one takes 1,000 at most)")
		}
		made, err := r.Register(ctx, a.ID, a.Code, f.state.identity(i))
		if e, refused := errors.AsType[*agentlink.APIError](err); refused && e.Code == string(ssmrun.CodeInvalidActivation) {
			f.cfg.Logger.Info("an activation takes no more", "activation", a.ID, "reason", e.Message)
			codes.next(n)
			continue
		}
		if err != nil && !agentlink.Permanent(err) && try < tries && ctx.Err() == nil {
			select {
			case <-time.After(backoff.Next(err)):
				continue
			case <-ctx.Done():
			}
		}
		i.ID = made.InstanceID
		return i, err
	}
}

// activations are used one after the other.
type activations struct {
	mu   sync.Mutex
	list []Activation
	used int
}

func (a *activations) current() (Activation, int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used >= len(a.list) {
		return Activation{}, 0, false
	}
	return a.list[a.used], a.used, true
}

// next goes on to the activation after the n-th, unless another has.
func (a *activations) next(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used == n {
		a.used++
	}
}
