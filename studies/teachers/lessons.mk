# From photos to what `facegender train` needs for the networks that ship: stores, faces, features, lessons.
#
#     make -j2 -f studies/teachers/lessons.mk WORK=/elsewhere FAIRFACE=fair_face \
#         FAIRFACE_LABELS="fairface_label_train.csv fairface_label_val.csv" UTKFACE=unlabeled \
#         ALL_AGE_FACES="All-Age-Faces Dataset" CELEBA=img_align_celeba.tar CELEBA_ATTRIBUTES=male_and_partition.csv.gz \
#         LFW=lfw-deepfunneled.tar LFW_LISTS=lfw
#
# Paths are from the folder in which make runs, and have no blanks but in ALL_AGE_FACES. WORK gets stores/research,
# stores/open and committee.npz. A step that is done is passed over, so that the command may be stopped and given
# again. PRECISION=f32 where the processor has no bfloat16; CELEBA_SQUEEZED for photos that were squeezed to squares;
# STILLS for photos without labels, whose faces `research` learns too, by the committee's answers alone (in a WORK from
# its beginning).
# About an hour on two cores with AMX; `facegender` and this file's folder need the extras train and openvino.

HERE := $(dir $(lastword $(MAKEFILE_LIST)))
PRECISION ?= bf16
SETS := fairface utkface celeba all-age-faces
STORES := $(WORK)/stores
store = $(STORES)/$(1)/store.json

.PHONY: all
.DELETE_ON_ERROR:
all: $(call store,research) $(call store,open) $(WORK)/committee.npz

$(call store,fairface):
	facegender prepare fairface $(FAIRFACE) $(FAIRFACE_LABELS:%=--labels %) --output $(@D)
$(call store,utkface):
	facegender prepare utkface $(UTKFACE) --output $(@D)
$(call store,all-age-faces):
	facegender prepare all-age-faces "$(ALL_AGE_FACES)" --output $(@D)
$(call store,celeba):
	facegender prepare celeba $(CELEBA) $(CELEBA_SQUEEZED:%=--squeezed %) --attributes $(CELEBA_ATTRIBUTES) --output $(@D)
$(call store,lfw):
	facegender prepare lfw $(LFW) --lists $(LFW_LISTS) --output $(@D)
UNLABELLED := $(if $(STILLS),stills)
$(call store,stills): $(WORK)/committee.npz $(call store,fairface)
	python $(HERE)unlabelled.py $(@D) --like $(STORES)/fairface $< $(WORK)/faces/stills.jsonl
$(call store,research): $(foreach name,$(SETS) $(UNLABELLED) lfw,$(call store,$(name)))
	facegender join $(SETS:%=$(STORES)/%) $(UNLABELLED:%=$(STORES)/%) --test $(STORES)/lfw --output $(@D)
$(call store,open): $(call store,fairface)
	facegender join $(STORES)/fairface --output $(@D)

$(WORK)/teachers/agegender.onnx:
	python $(HERE)build.py $(@D)
$(WORK)/faces/all.jsonl:
	python $(HERE)faces.py $(@D) --fairface $(FAIRFACE) --fairface-labels $(FAIRFACE_LABELS) --utkface $(UTKFACE) \
	    --all-age-faces "$(ALL_AGE_FACES)" --celeba $(CELEBA) $(CELEBA_SQUEEZED:%=--celeba-squeezed %) \
	    --celeba-attributes $(CELEBA_ATTRIBUTES) $(STILLS:%=--stills %)
	grep -hv '"split": "test"' $(SETS:%=$(@D)/%.jsonl) $(UNLABELLED:%=$(@D)/%.jsonl) > $@
# Features are written part by part: the file says that all are there.
$(WORK)/features/done: $(WORK)/faces/all.jsonl $(WORK)/teachers/agegender.onnx
	python $(HERE)extract.py $(WORK)/teachers $(@D) $< --precision $(PRECISION)
	touch $@
$(WORK)/committee.npz: $(WORK)/features/done
	python $(HERE)committee.py $(WORK)/features $(@:.npz=) $(WORK)/faces/all.jsonl
