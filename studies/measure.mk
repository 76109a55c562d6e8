# What a new network or a new face detector changes in results/, in src/facegender/weights and in MODEL_CARD.md.
#
#     make -j2 -f studies/measure.mk WORK=/elsewhere FAIRFACE=fair_face ... LFW_TAR=lfw-deepfunneled.tar
#
# Begins with the stores, so it needs the settings of studies/teachers/lessons.mk and a WORK whose stores were cropped
# with the detector that ships. LFW_TAR has its label lists beside it, FAIRFACE_VAL are validation photos of FairFace.
# Measures the networks that ship now: put a new one into src/facegender/weights first (`facegender export`). A step
# that is done is passed over, so that the command may be stopped and given again; a new WORK measures all of it anew.
# Some two hours of one core without AMX.
#
# Not here, as they need an idle machine, other data or hours: peers.py, detector.py, detector_people.py,
# track_correlation.py, template.py, names.py, mutations.py, peer_corpora.py, simulation.py, studies/speed. Numbers in
# README.md and docs/ are then replaced by hand; tests/test_results.py finds those that are not in results/.
# CELEBA_SQUEEZED is needed here: error rates take validation photos of CelebA from it.

STUDIES := $(dir $(lastword $(MAKEFILE_LIST)))
include $(STUDIES)teachers/lessons.mk
.DEFAULT_GOAL := measured
$(if $(CELEBA_SQUEEZED),,$(error CELEBA_SQUEEZED is not set))

RESULTS := $(abspath $(STUDIES)../results)
NAMES ?= research open
FAIRFACE_VAL ?= $(FAIRFACE)/val
TESTED := lfw celeba utkface fairface all-age-faces
DONE := $(WORK)/measured
DID = mkdir -p $(@D) && touch $@
TESTED_STORES := $(foreach set,$(TESTED),$(call store,$(set)))

.PHONY: measured
measured: $(foreach name,$(NAMES),$(DONE)/audit_$(name) $(DONE)/calibration_$(name)) \
    $(patsubst %,$(DONE)/%,flagship fairface prints turned nightly first_share groups rates sets videos)
	python $(STUDIES)../scripts/model_card.py
	python $(STUDIES)../scripts/results_index.py

# Run where the stores are, so that the commands in results/ name them alike everywhere.
$(DONE)/audit_%: $(TESTED_STORES)
	for set in $(TESTED); do \
	    (cd $(WORK) && facegender audit $* --dataset stores/$$set -o audit_$*/$$set) || exit 1; \
	    for kind in csv json; do cp $(WORK)/audit_$*/$$set/audit.$$kind $(RESULTS)/accuracy/audit_$${set}_$*.$$kind || exit 1; done; \
	done
	$(DID)
$(DONE)/calibration_%: $(TESTED_STORES)
	cd $(WORK) && facegender calibration $* $(TESTED:%=stores/%) -o calibration_$*
	cp $(WORK)/calibration_$*/calibration.csv $(RESULTS)/accuracy/calibration_$*.csv
	for chart in reliability risk_coverage; do \
	    cp $(WORK)/calibration_$*/$$chart.png $(RESULTS)/accuracy/$${chart}_$*.png || exit 1; done
	$(DID)
$(DONE)/flagship: $(TESTED_STORES)
	cd $(WORK) && python $(abspath $(STUDIES))/accuracy/flagship.py $(TESTED:%=stores/%) --models $(NAMES) \
	    --output $(RESULTS)/accuracy/flagship.csv
	$(DID)
$(DONE)/groups: $(NAMES:%=$(DONE)/audit_%)
	python -m facegender.lab.export.groups $(RESULTS)/accuracy
	$(DID)

# From photo to answer.
$(DONE)/fairface:
	python $(STUDIES)accuracy/fairface.py $(FAIRFACE_VAL) $(lastword $(FAIRFACE_LABELS)) --output $(RESULTS)/accuracy/fairface.csv
	$(DID)
$(DONE)/prints $(DONE)/turned:
	python $(STUDIES)robustness/$(@F).py $(LFW_TAR) --output $(RESULTS)/robustness/$(@F).csv
	$(DID)
$(DONE)/nightly:
	python $(STUDIES)survey/nightly.py $(LFW_TAR) --output $(RESULTS)/survey/nightly.csv
	$(DID)
$(DONE)/first_share: $(DONE)/rates
	python $(STUDIES)survey/first_share.py $(LFW_TAR) $(LFW_LISTS) --output $(RESULTS)/survey/first_share.csv
	$(DID)

# Error rates for surveys. The two studies name CelebA's test photos last.
$(WORK)/photos/validation.csv:
	python $(STUDIES)survey/faces.py $(@D) --fairface $(FAIRFACE) $(FAIRFACE_LABELS) \
	    --utkface $(UTKFACE) --celeba $(CELEBA_ATTRIBUTES) $(CELEBA_SQUEEZED) $(lastword $(CELEBA)) \
	    --all-age-faces "$(ALL_AGE_FACES)" --lfw $(LFW_TAR) --splits validation
$(WORK)/sets/done:
	python $(STUDIES)survey/sets_faces.py $(@D) --fairface $(FAIRFACE) $(FAIRFACE_LABELS) --utkface $(UTKFACE) \
	    --celeba $(CELEBA_ATTRIBUTES) $(CELEBA_SQUEEZED) $(lastword $(CELEBA)) \
	    --lfw $(LFW_TAR) --all-age-faces "$(ALL_AGE_FACES)"
	$(DID)
$(DONE)/rates: $(WORK)/photos/validation.csv $(WORK)/sets/done
	python -m facegender.lab.export.rates $(WORK)/photos $(WORK)/sets
	$(DID)
$(DONE)/videos: $(DONE)/rates
	python $(STUDIES)survey/videos.py --repetitions 100 --output $(RESULTS)/survey/videos.csv
	$(DID)
$(DONE)/sets: $(DONE)/rates
	python $(STUDIES)survey/sets.py $(WORK)/sets --repetitions 4 --output $(RESULTS)/survey/sets.csv
	$(DID)
