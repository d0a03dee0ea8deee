"""From a study folder to measured livers: eight rules, thin; every command can be typed by hand.

snakemake --cores 2 --config study=STUDY results=RESULTS [timeline=DIR]
snakemake validate --cores 2 --config dataset=lits root=DIR results=RESULTS [compat=codalab]
"""

from snakemake.utils import min_version

from nen_imaging.workflow import Plan, dry_run, validation_arguments

min_version("9.19")

PLAN = Plan.prepare(
    config, main_process=workflow.is_main_process, dry_run=dry_run(workflow)
)
VALIDATION = validation_arguments(config)


workdir: PLAN.results.root


wildcard_constraints:
    patient="[^/]+",
    staging="[^/]+",


onsuccess:
    print(PLAN.finish())


onerror:
    print(PLAN.finish())


rule all:
    input:
        PLAN.targets(),


rule import_ct:
    input:
        "patients/{patient}/stagings/{staging}/ct_selection.json",
    output:
        directory("patients/{patient}/stagings/{staging}/ct"),
    log:
        "logs/{patient}/{staging}.import_ct.log",
    benchmark:
        "benchmarks/{patient}/{staging}.import_ct.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("import_ct"),
        options=PLAN.options("import_ct"),
    shell:
        "nen-imaging stage import_ct {output} {input} --options {params.options:q} > {log} 2>&1"


rule import_pet:
    input:
        "patients/{patient}/stagings/{staging}/pet_selection.json",
        "patients/{patient}/stagings/{staging}/corrections.json",
    output:
        directory("patients/{patient}/stagings/{staging}/pet"),
    log:
        "logs/{patient}/{staging}.import_pet.log",
    benchmark:
        "benchmarks/{patient}/{staging}.import_pet.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("import_pet"),
        options=PLAN.options("import_pet"),
    shell:
        "nen-imaging stage import_pet {output} {input} --options {params.options:q} > {log} 2>&1"


rule import_low_dose_ct:
    input:
        "patients/{patient}/stagings/{staging}/low_dose_ct_selection.json",
    output:
        directory("patients/{patient}/stagings/{staging}/low_dose_ct"),
    log:
        "logs/{patient}/{staging}.import_low_dose_ct.log",
    benchmark:
        "benchmarks/{patient}/{staging}.import_low_dose_ct.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("import_low_dose_ct"),
        options=PLAN.options("import_low_dose_ct"),
    shell:
        "nen-imaging stage import_low_dose_ct {output} {input} --options {params.options:q} > {log} 2>&1"


rule segment:
    input:
        "patients/{patient}/stagings/{staging}/ct",
    output:
        directory("patients/{patient}/stagings/{staging}/segment"),
    log:
        "logs/{patient}/{staging}.segment.log",
    benchmark:
        "benchmarks/{patient}/{staging}.segment.tsv"
    conda:
        "config/environment.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=15,
        gpu=0,
    params:
        version=PLAN.version("segment"),
        options=PLAN.options("segment"),
    shell:
        "nen-imaging stage segment {output} {input} --options {params.options:q} --threads {threads} > {log} 2>&1"


rule measure:
    input:
        "patients/{patient}/stagings/{staging}/ct",
        "patients/{patient}/stagings/{staging}/segment",
        "patients/{patient}/stagings/{staging}/reader.json",
    output:
        directory("patients/{patient}/stagings/{staging}/measure"),
    log:
        "logs/{patient}/{staging}.measure.log",
    benchmark:
        "benchmarks/{patient}/{staging}.measure.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("measure"),
        options=PLAN.options("measure"),
    shell:
        "nen-imaging stage measure {output} {input} --options {params.options:q} > {log} 2>&1"


rule uptake:
    input:
        lambda wildcards: PLAN.low_dose_ct(wildcards.patient, wildcards.staging),
        "patients/{patient}/stagings/{staging}/ct",
        "patients/{patient}/stagings/{staging}/pet",
        "patients/{patient}/stagings/{staging}/measure",
        "patients/{patient}/stagings/{staging}/reader.json",
    output:
        directory("patients/{patient}/stagings/{staging}/uptake"),
    log:
        "logs/{patient}/{staging}.uptake.log",
    benchmark:
        "benchmarks/{patient}/{staging}.uptake.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("uptake"),
        options=PLAN.options("uptake"),
    shell:
        "nen-imaging stage uptake {output} {input} --options {params.options:q} > {log} 2>&1"


rule follow:
    input:
        lambda wildcards: PLAN.of_patient(wildcards.patient, "ct", "measure"),
        "patients/{patient}/links.json",
    output:
        directory("patients/{patient}/follow"),
    log:
        "logs/{patient}/follow.log",
    benchmark:
        "benchmarks/{patient}/follow.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        version=PLAN.version("follow"),
        options=PLAN.options("follow"),
    shell:
        "nen-imaging stage follow {output} {input} --options {params.options:q} > {log} 2>&1"


rule report:
    input:
        lambda wildcards: PLAN.of_patient(
            wildcards.patient, "ct", "segment", "measure", "pet", "uptake"
        ),
        "patients/{patient}/follow",
        "patients/{patient}/timeline.json",
    output:
        directory("patients/{patient}/report"),
    log:
        "logs/{patient}/report.log",
    benchmark:
        "benchmarks/{patient}/report.tsv"
    conda:
        "config/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        version=PLAN.version("report"),
        options=PLAN.options("report"),
    shell:
        "nen-imaging stage report {output} {input} --options {params.options:q} > {log} 2>&1"


# Resumes by itself, so it has no output that Snakemake could take for done; 3: some cases could not be measured.
rule validate:
    log:
        "validate.log",
    conda:
        "config/environment.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=1440,
        gpu=0,
    params:
        arguments=VALIDATION,
    shell:
        "nen-imaging validate {params.arguments} --results . --threads {threads} 2>&1 | tee {log} || [ $? -eq 3 ]"
